"""X12: 204, 990, 214, 210, 824 and 997, read and written.

Reading
    from freightsync.formats.x12 import read, read_stream, PartnerProfile, Transaction, Interchange
    result = read(data_or_binary_file, PartnerProfile(implied_decimals="implied"))
    for interchange in result.interchanges:              # .sender .receiver .control_number .findings .rejected
        for transaction in interchange.transactions:     # .set_id .control_number .findings .byte_offset …
            if transaction.rejected: …                   # .document is None; .partial: what could be read
            elif isinstance(transaction.document, Invoice210): …
`read_stream` yields the same piece by piece, in flat memory. A file without an interchange raises NotX12Error;
nothing else about a file raises: what is wrong comes as findings (codes: see `findings`) with segment and byte.

Records: `Invoice210`, `Status214`, `LoadTender204`, `TenderResponse990`, `Acknowledgment997`,
`ApplicationAdvice824` and their parts are plain slotted dataclasses, to be read and to be built.

Writing: `write(Envelope(…), documents)`, see `writer`. Acknowledging: `acknowledge(interchange)`, see `acknowledge`.

To add a transaction set: a module `tx<set>.py` with SET_ID, GROUP_IDS, its records, `parse(body[, money])` returning
the record with its errors reported to the body, and `as_json`; an entry in `reader.PARSERS` and `GROUPS`, a case in
`render.document_json`, one in `writer.GROUP_OF` and a function that writes it; a round trip and a hostile-input test.
"""

from freightsync.formats.x12.acknowledge import acknowledge
from freightsync.formats.x12.common import Party, QualifiedDate, Reference, Weight
from freightsync.formats.x12.findings import Finding
from freightsync.formats.x12.profile import (
    DEFAULT_PROFILE,
    PartnerProfile,
    ProfileError,
    profiles_from_dict,
)
from freightsync.formats.x12.reader import (
    Document,
    Interchange,
    NotX12Error,
    ReadResult,
    Transaction,
    read,
    read_stream,
)
from freightsync.formats.x12.tx204 import Equipment, Goods, Hazmat, LoadTender204, Stop
from freightsync.formats.x12.tx210 import ChargeLine, Invoice210, LineGroup, Quantity, group_lines
from freightsync.formats.x12.tx214 import Status214, StatusEvent, UnreadableEvent
from freightsync.formats.x12.tx824 import AnsweredTransaction, ApplicationAdvice824, ApplicationError
from freightsync.formats.x12.tx990 import TenderResponse990
from freightsync.formats.x12.tx997 import Acknowledgment997, ElementNote, SegmentNote, TransactionResponse
from freightsync.formats.x12.writer import Delimiters, Envelope, X12WriteError, write

__all__ = [
    "DEFAULT_PROFILE",
    "Acknowledgment997",
    "AnsweredTransaction",
    "ApplicationAdvice824",
    "ApplicationError",
    "ChargeLine",
    "Delimiters",
    "Document",
    "ElementNote",
    "Envelope",
    "Equipment",
    "Finding",
    "Goods",
    "Hazmat",
    "Interchange",
    "Invoice210",
    "LineGroup",
    "LoadTender204",
    "NotX12Error",
    "PartnerProfile",
    "Party",
    "ProfileError",
    "QualifiedDate",
    "Quantity",
    "ReadResult",
    "Reference",
    "SegmentNote",
    "Status214",
    "StatusEvent",
    "Stop",
    "TenderResponse990",
    "Transaction",
    "TransactionResponse",
    "UnreadableEvent",
    "Weight",
    "X12WriteError",
    "acknowledge",
    "group_lines",
    "profiles_from_dict",
    "read",
    "read_stream",
    "write",
]
