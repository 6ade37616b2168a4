"""Finds a posted customer invoice, renders and checks it, and keeps what was written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from freightsync.domain.errors import PermanentError
from freightsync.einvoice.rendering import Document, Master, missing, render
from freightsync.formats import ubl
from freightsync.local import Adapter, AdapterInvalid
from freightsync.local.adapters import profile_of


class EInvoiceRefused(PermanentError):
    """An e-invoice that can't be written. `findings`: the rules that it would break."""

    def __init__(self, message: str, *, findings: Sequence[ubl.Finding] = (), what_to_do: str = "") -> None:
        super().__init__(message, what_to_do=what_to_do)
        self.findings = tuple(findings)


@dataclass(frozen=True)
class Made:
    """One e-invoice. `is_new`: it was not kept before with the same bytes."""

    invoice: ubl.Invoice
    content: bytes
    sha256: str
    profile: str
    name: str
    is_new: bool


_FIND = """
select posted.outbox_id, posted.journal_id, posted.aggregate_id, posted.operation, posted.payload,
  answer.reference as number
from effects.outbox as posted
left join lateral (
  select outcome.reference from effects.outcome as outcome
  where outcome.outbox_id = posted.outbox_id and outcome.outcome = 'accepted' and outcome.reference <> ''
  order by outcome.outcome_id desc limit 1
) as answer on true
where posted.kind = 'movement' and posted.operation in ('customer_invoice', 'credit_memo') and {condition}
order by posted.outbox_id
"""

_BY_NUMBER = """
posted.outbox_id in (
  select outcome.outbox_id from effects.outcome as outcome
  where outcome.outcome = 'accepted' and outcome.reference = %s)
"""

_SELLER = """
select * from (
  select distinct on (rule_id) * from rules.tax_seller
  where seller_id = %(seller)s and valid_from <= %(on)s order by rule_id, rule_version desc) as newest
where newest.valid_to is null or %(on)s <= newest.valid_to
order by rule_id limit 1
"""

_BUYER = """
select profile.*, coalesce(profile.legal_name, customer.customer_name) as legal_name, customer.payment_terms
from canonical.customer as customer
left join lateral (
  select * from canonical.tax_profile as version where version.profile_id = 'customer:' || customer.customer_id
  order by version.valid_from <= %(at)s desc, case when version.valid_from <= %(at)s then version.version end desc
    nulls last, version.version limit 1
) as profile on true
where customer.customer_id = %(customer)s
order by customer.valid_from <= %(at)s desc, case when customer.valid_from <= %(at)s then customer.version end desc
  nulls last, customer.version limit 1
"""

_SHIP_TO = """
select ship_to.* from canonical.sales_order as ordered
join canonical.ship_to as ship_to on ship_to.ship_to_id = ordered.ship_to_id
where ordered.order_number = %(order)s
order by ship_to.valid_from <= ordered.changed_at desc, case when ship_to.valid_from <= ordered.changed_at
  then ship_to.version end desc nulls last, ship_to.version limit 1
"""


def make(
    conn: Connection[Any],
    number: str,
    adapters: Sequence[Adapter],
    *,
    profile: str = "",
    freight_as: Literal["line", "charge"] = "line",
) -> Made:
    """The e-invoice of the customer invoice with the ERP's number, kept in `effects.einvoice`, once for the same bytes.

    profile: else the one of the seller's country. Raises EInvoiceRefused where there is no such invoice, where no
    adapter has e-invoices for the seller, or where the document would break a rule; nothing is kept then.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        posted = cursor.execute(_FIND.replace("{condition}", _BY_NUMBER).encode(), (number,)).fetchone()
        if posted is None:
            raise EInvoiceRefused(
                f"no customer invoice {number} was accepted by the ERP",
                what_to_do="give the ERP's number; `freightsync outbox list` shows what was not sent yet",
            )
        lines = _as_billed(posted)
        on = max(date.fromisoformat(line["invoice_on"]) for line in lines)
        earlier = cursor.execute(
            _FIND.replace("{condition}", "posted.aggregate_id = %s and posted.outbox_id < %s").encode(),
            (posted["aggregate_id"], posted["outbox_id"]),
        ).fetchall()
        master = _master(cursor, number, lines, on)
    document = Document(
        number,
        posted["payload"]["currency"],
        lines,
        tuple((row["number"], _issued(row["payload"]["lines"])) for row in earlier if row["number"]),
    )
    name, settings = _profile(adapters, str(master.seller["country"]), profile)
    invoice = render(document, master, settings, freight_as=freight_as)
    content = ubl.write(invoice)
    read_back, structure = ubl.read(content)
    findings = [*structure, *ubl.check(read_back), *missing(read_back, settings.get("needs", ()))]
    if findings:
        raise EInvoiceRefused(
            f"{number} would break {len(findings)} rules, first {findings[0].rule}: {findings[0].words}",
            findings=findings,
            what_to_do="complete the seller (rules.tax_seller) or the customer's tax profile in the ERP",
        )
    digest = hashlib.sha256(content).digest()
    file_name = f"{number}.{name}.xml"
    kept = conn.execute(
        """insert into effects.einvoice (journal_id, aggregate_id, profile, invoice_number, type_code, name, content,
             content_sha256, findings)
           values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
           on conflict (journal_id, profile, content_sha256) do nothing""",
        (
            *(
                posted["journal_id"],
                posted["aggregate_id"],
                name,
                number,
                invoice.type_code,
                file_name,
                content,
                digest,
            ),
            Jsonb([]),
        ),
    ).rowcount
    return Made(invoice, content, digest.hex(), name, file_name, kept > 0)


def _as_billed(posted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines of a document as what is billed. What a credit memo posts takes from that."""
    lines = posted["payload"]["lines"]
    if posted["operation"] != "credit_memo":
        return list(lines)
    return [{**line, "reverses": not line.get("reverses")} for line in lines]


def _issued(lines: Sequence[dict[str, Any]]) -> date:
    return max(date.fromisoformat(line["invoice_on"]) for line in lines)


def _profile(adapters: Sequence[Adapter], country: str, wanted: str) -> tuple[str, Any]:
    adapter = next((one for one in adapters if country in one.countries), None)
    if adapter is None:
        raise EInvoiceRefused(
            f"no country adapter judges sellers in {country}", what_to_do="add one: docs/add-a-country.md"
        )
    try:
        return profile_of(adapter, country, wanted)
    except AdapterInvalid as error:
        raise EInvoiceRefused(error.message, what_to_do=error.what_to_do) from error


def _master(cursor: Any, number: str, lines: Sequence[dict[str, Any]], on: date) -> Master:
    sellers = {line.get("seller_id") for line in lines} - {None}
    if len(sellers) != 1:
        raise EInvoiceRefused(
            f"{number} says nothing of its seller: no tax policy charged it",
            what_to_do="charge tax by a policy (rules.tax_policy), or let the ERP write the e-invoice",
        )
    seller = cursor.execute(_SELLER, {"seller": sellers.pop(), "on": on}).fetchone()
    buyer = cursor.execute(_BUYER, {"customer": lines[0]["customer_id"], "at": f"{on}T23:59:59Z"}).fetchone()
    orders = sorted({line["order_number"] for line in lines})
    if seller is None or buyer is None:
        raise EInvoiceRefused(f"the seller or the customer of {number} is not among the master data of {on}")
    ship_to = cursor.execute(_SHIP_TO, {"order": orders[0]}).fetchone() or {}
    return Master(seller, buyer, ship_to, buyer["payment_terms"] or "")
