"""The port: what is the tax on this? Asked of the same relations that bill by it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from freightsync.domain.errors import PermanentError


@dataclass(frozen=True)
class Place:
    """Country as ISO 3166, region as the country writes it (TX, 27)."""

    country: str | None = None
    region: str | None = None
    postal_code: str | None = None


@dataclass(frozen=True)
class Line:
    """What is billed. stated: freight on a line of its own or within the price. cost: what the freight costs us."""

    line_id: str
    kind: Literal["goods", "freight", "accessorial"]
    amount: Decimal
    tax_class: str | None = None
    cost: Decimal | None = None
    stated: Literal["separate", "included"] = "separate"


@dataclass(frozen=True)
class Question:
    """One invoice to be. `seller_id`: of `rules.tax_seller`. `known_at`: the rules as recorded by then; None: all.

    certificates: [{kind, country, region, valid_from, valid_to}]; attributes: what else the customer's contract says
    (pickup_option, title_passes, recipient_kind, incoterm, …), facts under `customer.`.
    """

    seller_id: str
    supply: Literal["goods", "transport"]
    lines: Sequence[Line]
    currency: str
    tax_on: date
    ship_from: Place = Place()
    ship_to: Place = Place()
    customer: Place = Place()
    customer_status: str | None = None
    customer_tax_id: str | None = None
    certificates: Sequence[Mapping[str, str]] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    carrier: Literal["common", "own"] | None = None
    arranged_by: Literal["seller", "buyer"] = "seller"
    known_at: datetime | None = None


@dataclass(frozen=True)
class TaxLine:
    """One tax on a part of a line. `tax_amount` is charged; what the recipient owes itself (`payable_by` recipient) is
    at `recipient_rate_percent` and not in it."""

    line_id: str
    part: int
    jurisdiction: str
    tax_name: str | None
    category: str
    rate_percent: Decimal
    taxable_base: Decimal
    tax_amount: Decimal
    payable_by: str
    recipient_rate_percent: Decimal | None
    treatment: str
    reason_code: str | None
    reason: str
    rule_id: str
    rule_version: int
    rate_rule_id: str | None


@dataclass(frozen=True)
class Answer:
    """All tax lines of a question, in line order; money of the tax that is charged."""

    lines: tuple[TaxLine, ...]
    net: Decimal
    tax: Decimal

    @property
    def gross(self) -> Decimal:
        return self.net + self.tax


class TaxRefused(PermanentError):
    """The tax can't be said. `refusals`: line → (code, what is missing, in words)."""

    def __init__(
        self, message: str, *, refusals: Mapping[str, tuple[str, tuple[str, ...], str]], what_to_do: str
    ) -> None:
        super().__init__(message, what_to_do=what_to_do)
        self.refusals = refusals


REMEDY = {
    "no_seller": "add the seller and its registrations to rules.tax_seller and rules.tax_registration",
    "no_rule": "no rule covers this: add one to the adapter of the seller's country, with its source",
    "facts_missing": "complete the tax profile, the item's tax class or the ship-to in the ERP",
    "goods_missing": "freight that follows goods needs the goods on the same supply",
    "no_rate": "add the rate to the adapter's rates.csv",
    "no_local_rate": "load the local rates of that postal code (feed erp.tax_rate)",
    "refused": "complete what the reason names",
}
"""By code of a refusal: what to do."""

_COLUMNS = (
    "document_id, line_id, kind, stated, amount, cost, currency, tax_on, known_at, supply, seller_id, tax_class,"
    " carrier, arranged_by, ship_from_country, ship_from_region, ship_from_postal, ship_to_country, ship_to_region,"
    " ship_to_postal, customer_country, customer_region, customer_status, customer_tax_id, certificates, attributes"
)

_ASKED = """
select document_id, line_id, part, jurisdiction, tax_name, category, rate_percent, taxable_base, tax_amount, payable_by,
  recipient_rate_percent, treatment, reason_code, reason, rule_id, rule_version, rate_rule_id, refusal, missing
from decisions.billing_tax where document_id = any(%s) order by line_id, part, tax_name
"""


def ask(conn: Connection[Any], question: Question) -> Answer:
    """The tax lines of a question; nothing of it stays. Raises TaxRefused, naming each line and what is missing."""
    return ask_many(conn, [question])[0].answer()


@dataclass(frozen=True)
class Said:
    """What the relations say of one question, refusals included."""

    rows: tuple[dict[str, Any], ...]
    net: Decimal

    def answer(self) -> Answer:
        refused = {
            row["line_id"]: (row["refusal"], tuple(filter(None, (row["missing"] or "").split(", "))), row["reason"])
            for row in self.rows
            if row["refusal"] is not None
        }
        if refused:
            codes = sorted({code for code, _, _ in refused.values()})
            raise TaxRefused(
                "; ".join(f"line {line}: {words}" for line, (_, _, words) in sorted(refused.items())),
                refusals=refused,
                what_to_do="; ".join(REMEDY[code] for code in codes),
            )
        lines = tuple(TaxLine(**{name: row[name] for name in TaxLine.__dataclass_fields__}) for row in self.rows)
        return Answer(lines, self.net, sum((line.tax_amount for line in lines), Decimal("0.00")))


def ask_many(conn: Connection[Any], questions: Sequence[Question]) -> list[Said]:
    """Many at once, in one pass; a refusal is among the rows instead of raised."""
    names = [f"question|{uuid.uuid4()}" for _ in questions]
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        cursor.executemany(
            f"insert into ops.tax_question ({_COLUMNS}) values ({', '.join(['%s'] * len(_COLUMNS.split(',')))})",  # noqa: S608
            [
                _row(name, question, line)
                for name, question in zip(names, questions, strict=True)
                for line in question.lines
            ],
        )
        rows = cursor.execute(_ASKED, (names,)).fetchall()
        cursor.execute("delete from ops.tax_question where document_id = any(%s)", (names,))
    by_name: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for row in rows:
        by_name[row["document_id"]].append(row)
    return [
        Said(tuple(by_name[name]), sum((line.amount for line in question.lines), Decimal("0.00")))
        for name, question in zip(names, questions, strict=True)
    ]


def _row(name: str, question: Question, line: Line) -> tuple[Any, ...]:
    places = (question.ship_from, question.ship_to)
    return (
        *(name, line.line_id, line.kind, line.stated, line.amount, line.cost, question.currency, question.tax_on),
        "infinity" if question.known_at is None else question.known_at,
        *(question.supply, question.seller_id, line.tax_class, question.carrier, question.arranged_by),
        *(value for place in places for value in (place.country, place.region, place.postal_code)),
        *(question.customer.country, question.customer.region, question.customer_status, question.customer_tax_id),
        *(Jsonb(list(question.certificates)), Jsonb(dict(question.attributes))),
    )
