"""E-invoices on their way: written once the ERP has numbered what they say, kept, and left for the access point that
passes them on.

A document is asked for as soon as it is posted; the ERP's number comes with its answer, so until then the message is
one for later. What would break a rule is refused, with the rule and what to do.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from freightsync.domain.errors import PermanentError
from freightsync.domain.outbox import OnceBy, OutboxMessage, Outcome, Pace
from freightsync.einvoice.making import Made, make
from freightsync.local import adapters
from freightsync.settings import Settings
from freightsync.systems import sftp
from freightsync.warehouse.connection import connect

USUAL = frozenset({"yes", "true", ""})
"""What a customer's profile says where it wants the usual one of the seller's country."""

_NUMBER = """
    select outcome.reference from effects.document as document
    join effects.outcome as outcome on outcome.outbox_id = document.outbox_id
    where document.journal_id = %s and outcome.outcome = 'accepted' and outcome.reference <> ''
    order by outcome.outcome_id desc limit 1
"""


class EInvoiceSender:
    """See `freightsync.domain.outbox.Sender`.

    number: the ERP's number of a posted document, None where it has none yet. write: the e-invoice of a number in a
    profile, kept. put: leaves a file for the access point.
    """

    operations: Mapping[str, OnceBy] = {"einvoice": "name"}
    pace = Pace(concurrency=1, per_second=50.0, burst=50)

    def __init__(
        self,
        number: Callable[[str], str | None],
        write: Callable[[str, str], Made],
        put: Callable[[str, bytes], None],
    ) -> None:
        self._number, self._write, self._put = number, write, put
        self._open = ExitStack()

    def close(self) -> None:
        self._open.close()

    def send(self, batch: Sequence[OutboxMessage]) -> Sequence[Outcome]:
        return [self._send(message) for message in batch]

    def _send(self, message: OutboxMessage) -> Outcome:
        number = self._number(str(message.payload["journal_id"]))
        if number is None:
            return Outcome.again(message, f"the ERP has not numbered {message.aggregate_id} yet")
        profile = str(message.payload["profile"])
        try:
            made = self._write(number, "" if profile in USUAL else profile)
        except PermanentError as error:
            return Outcome.refused(message, error.message, error.what_to_do)
        self._put(made.name, made.content)
        return Outcome.accepted(message, made.name)


def sender(settings: Settings) -> EInvoiceSender:
    countries = adapters([settings.local_directory] if settings.local_directory else [])
    files = sftp.Files(settings)

    def number(journal_id: str) -> str | None:
        with connect(settings.dsn("app"), application_name="einvoice") as conn:
            row = conn.execute(_NUMBER, (journal_id,)).fetchone()
        return row[0] if row else None

    def write(invoice: str, profile: str) -> Made:
        with connect(settings.dsn("app"), application_name="einvoice") as conn, conn.transaction():
            return make(conn, invoice, countries, profile=profile)

    def put(name: str, content: bytes) -> None:
        # without a directory they are kept in the warehouse only (`freightsync einvoice write` gives them out)
        if not settings.einvoice_directory:
            return
        directory = settings.einvoice_directory
        partner = posixpath.basename(posixpath.dirname(directory.rstrip("/"))) or "access_point"
        files.put(partner, directory, name, content)

    made = EInvoiceSender(number, write, put)
    made._open.callback(files.close)
    return made
