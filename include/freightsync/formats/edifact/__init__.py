"""EDIFACT: INVOIC and CONTRL, read and written.

Reading
    from freightsync.formats.edifact import read, read_stream, EdifactProfile, Message, Interchange, Invoic
    result = read(data_or_binary_file)
    for interchange in result.interchanges:         # .sender .receiver .control_number .findings .rejected
        for message in interchange.messages:        # .message_type .control_number .findings .byte_offset …
            if message.rejected: …                  # .document is None; .partial: what could be read
            elif isinstance(message.document, Invoic): …
`read_stream` yields the same piece by piece, in flat memory. A file without an interchange raises NotEdifactError;
nothing else about a file raises: what is wrong comes as findings (codes: see `findings`) with segment and byte.

Syntax versions 1 to 4: delimiters from the UNA or the standard's, release character, UNG groups, UNB dates of six and
eight digits, several interchanges in a file, the character sets of UNOA to UNOY. Comma and point are decimal marks.

Records: `Invoic`, `Control` and their parts are plain slotted dataclasses, to be read and to be built.

Writing: `write(Envelope(…), documents)`. Acknowledging: `acknowledge(interchange)` gives a `Control`, to be written.

To add a message: a module with MESSAGE_TYPE, its records, `parse(body)` returning the record with its errors
reported to
the body, and `as_json`; an entry in `reader.PARSERS`, a case in `render.document_json` and one in `writer.write`; a
round trip and a hostile-input test.
"""

from freightsync.formats.edifact.acknowledge import acknowledge
from freightsync.formats.edifact.common import Amount, Measure, Moment, Party, Reference, Tax
from freightsync.formats.edifact.contrl import Control, ElementError, MessageResponse, SegmentError
from freightsync.formats.edifact.findings import Finding
from freightsync.formats.edifact.invoic import Charge, Invoic, LineItem, PartialInvoic, ProductCode, charge_code
from freightsync.formats.edifact.profile import (
    DEFAULT_PROFILE,
    EdifactProfile,
    EdifactProfileError,
    edifact_profiles_from_dict,
)
from freightsync.formats.edifact.reader import (
    Document,
    Interchange,
    Message,
    NotEdifactError,
    ReadResult,
    looks_like,
    read,
    read_stream,
)
from freightsync.formats.edifact.syntax import Delimiters
from freightsync.formats.edifact.writer import EdifactWriteError, Envelope, write

__all__ = [
    "DEFAULT_PROFILE",
    "Amount",
    "Charge",
    "Control",
    "Delimiters",
    "Document",
    "EdifactProfile",
    "EdifactProfileError",
    "EdifactWriteError",
    "ElementError",
    "Envelope",
    "Finding",
    "Interchange",
    "Invoic",
    "LineItem",
    "Measure",
    "Message",
    "MessageResponse",
    "Moment",
    "NotEdifactError",
    "PartialInvoic",
    "Party",
    "ProductCode",
    "ReadResult",
    "Reference",
    "SegmentError",
    "Tax",
    "acknowledge",
    "charge_code",
    "edifact_profiles_from_dict",
    "looks_like",
    "read",
    "read_stream",
    "write",
]
