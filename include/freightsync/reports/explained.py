"""What was decided about carriers' bills, as it stands in the decisions' own rows: what was read, tried, expected,
compared, booked. No amount is decided here; the page (`explain_page`) shows the arithmetic between them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, LiteralString, TypeVar

from psycopg import Connection
from psycopg.rows import class_row

from freightsync.domain.errors import PermanentError

Conn = Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Bill:
    """Grain: one carrier's bill, and what was said of it as a whole."""

    carrier_invoice_id: str
    scac: str
    billed_by: str
    invoice_number: str
    normalized_number: str
    correction: str
    corrects_number: str | None
    invoice_on: date
    received_at: datetime
    currency: str
    net_amount: Decimal
    tax_amount: Decimal
    gross_amount: Decimal
    verdict: str
    reason: str
    is_posted: bool
    dispute_mode: str
    paid_amount: Decimal
    claimed_amount: Decimal
    recovered_amount: Decimal
    disputed_amount: Decimal
    rejected_amount: Decimal
    auto_approve_amount: Decimal | None
    other_number: str | None
    other_on: date | None
    other_normalized: str | None
    channel: str
    document_name: str
    position: str | None

    @property
    def pending_amount(self) -> Decimal:
        return self.net_amount - self.paid_amount - self.disputed_amount - self.rejected_amount


@dataclass(frozen=True)
class Line:
    """Grain: line of a bill, as the carrier wrote it and as the charge-code map reads it."""

    line: int
    match_unit: str
    partner_code: str | None
    charge_code: str
    description: str | None
    shipment_reference: str | None
    pro_number: str | None
    line_amount: Decimal


@dataclass(frozen=True)
class Link:
    """Grain: part of a bill that is matched as one."""

    match_unit: str
    outcome: str
    shipment_id: str | None
    matched_by: str | None
    matched_reference: str | None
    keys_tried: list[dict[str, Any]]
    same_moves: list[str]
    invoiced_amount: Decimal


@dataclass(frozen=True)
class Charge:
    """Grain: charge of a shipment on a bill, with the rule that it was compared by and the accrual that it met."""

    shipment_id: str
    charge_code: str
    verdict: str
    reason: str
    planned_amount: Decimal | None
    planned_currency: str | None
    planned_by: str | None
    contract_arithmetic: str | None
    contract_amount: Decimal | None
    approved_before_amount: Decimal
    expected_amount: Decimal
    invoiced_amount: Decimal
    variance_amount: Decimal
    tolerance_amount: Decimal | None
    under_tolerance_amount: Decimal | None
    rule_id: str | None
    rule_version: str | None
    rule_note: str | None
    over_mode: str | None
    over_percent: Decimal | None
    over_amount: Decimal | None
    under_percent: Decimal | None
    under_amount: Decimal | None
    unplanned_amount: Decimal | None
    is_delivered: bool
    is_posted: bool
    agreed_amount: Decimal | None
    owed_amount: Decimal
    paid_amount: Decimal
    claimed_amount: Decimal
    recovered_amount: Decimal
    disputed_amount: Decimal
    rejected_amount: Decimal
    pending_amount: Decimal
    reversal_amount: Decimal
    correction: str
    currency: str
    functional_currency: str
    exchange_rate: Decimal | None
    accrued_amount: Decimal
    accrued_functional_amount: Decimal
    accrual_rate: Decimal | None
    accrued_on: date | None
    reversal_functional_amount: Decimal
    exchange_difference_amount: Decimal
    reversed_before_amount: Decimal
    settlement_rule_id: str | None
    settlement_rule_version: str | None

    @property
    def is_credit(self) -> bool:
        return self.invoiced_amount < 0 and self.correction in ("CR", "AD") and self.verdict == "in_tolerance"


@dataclass(frozen=True)
class Earlier:
    """Grain: what an earlier bill was approved for, of a charge that this one bills, too."""

    shipment_id: str
    charge_code: str
    invoice_number: str
    correction: str
    invoice_on: date
    approved_amount: Decimal


@dataclass(frozen=True)
class Posted:
    """Grain: one transfer that the bill caused."""

    movement_id: int
    posted_on: date
    effect: str
    shipment_id: str | None
    charge_code: str | None
    debit_account: str
    credit_account: str
    currency: str
    amount: Decimal
    functional_currency: str
    functional_amount: Decimal
    reason: str | None
    outcome: str
    partner_number: str


@dataclass(frozen=True)
class Word:
    """Grain: one thing that a person or the carrier said about the bill."""

    at: datetime
    party: str
    kind: str
    by: str
    what: str
    note: str


@dataclass(frozen=True)
class Explained:
    """One bill with everything that its verdict follows from."""

    bill: Bill
    lines: Sequence[Line]
    links: Sequence[Link]
    charges: Sequence[Charge]
    earlier: Sequence[Earlier]
    postings: Sequence[Posted]
    words: Sequence[Word]


@dataclass(frozen=True)
class Kinds:
    """Grain: carrier's bill, and what it is an example of."""

    carrier_invoice_id: str
    charges: int
    kinds: list[str]

    @property
    def verdict(self) -> str:
        return self.kinds[0].removeprefix("verdict: ")


_BILL: LiteralString = """
select v.carrier_invoice_id, v.scac, i.billed_by, v.invoice_number, i.normalized_number, v.correction,
  i.corrects_number, v.invoice_on, i.received_at, v.currency, v.net_amount,
  coalesce(s.tax_amount, 0) as tax_amount, coalesce(s.gross_amount, v.net_amount) as gross_amount,
  v.verdict, v.reason, v.is_posted, v.dispute_mode, v.paid_amount, v.claimed_amount, v.recovered_amount,
  v.disputed_amount, v.rejected_amount, st.auto_approve_amount, o.invoice_number as other_number,
  o.invoice_on as other_on, o.normalized_number as other_normalized, coalesce(d.channel, 'ours') as channel,
  coalesce(d.name, 'our own document') as document_name, l.position
from decisions.invoice_verdict v
join decisions.invoice_standing st using (carrier_invoice_id)
join canonical.carrier_invoice i using (carrier_invoice_id)
left join staging.stg_carriers__invoices s on s.record_id = i.record_id
left join landing.carrier_invoice l on l.record_id = i.record_id
left join landing.document d on d.document_id = l.document_id
left join canonical.carrier_invoice o on o.carrier_invoice_id = v.duplicate_of
where v.carrier_invoice_id = %s
"""

_LINES: LiteralString = """
select line, match_unit, partner_code, charge_code, description, shipment_reference, pro_number, line_amount
from canonical.carrier_invoice_line where carrier_invoice_id = %s order by line
"""

_LINKS: LiteralString = """
select match_unit, outcome, shipment_id, matched_by, matched_reference, keys_tried, invoiced_amount,
  array(select m.shipment_id from decisions.invoice_same_move m
        where m.carrier_invoice_id = k.carrier_invoice_id and k.outcome = 'no_candidate' order by 1) as same_moves
from decisions.invoice_link k where carrier_invoice_id = %s order by match_unit
"""

_CHARGES: LiteralString = """
select v.shipment_id, v.charge_code, v.verdict, v.reason, v.planned_amount, c.planned_currency, p.basis as planned_by,
  k.arithmetic as contract_arithmetic, k.contract_amount, v.approved_before_amount, v.expected_amount,
  v.invoiced_amount, v.variance_amount, v.tolerance_amount, v.under_tolerance_amount, v.rule_id, v.rule_version,
  t.note as rule_note, t.over_mode, t.over_percent, t.over_amount, t.under_percent, t.under_amount, c.unplanned_amount,
  v.is_delivered, v.is_posted, v.agreed_amount, v.owed_amount, v.paid_amount, v.claimed_amount, v.recovered_amount,
  v.disputed_amount, v.rejected_amount, v.pending_amount, v.reversal_amount, v.correction, v.currency,
  v.functional_currency, v.exchange_rate, c.accrued_amount, c.accrued_functional_amount,
  a.exchange_rate as accrual_rate, a.accrued_on,
  v.reversal_functional_amount, v.exchange_difference_amount,
  coalesce((select sum(b.reversal_amount) from decisions.invoice_line_verdict b
            where b.shipment_id = v.shipment_id and b.charge_code = v.charge_code and b.is_posted
              and b.business_order < v.business_order), 0)::numeric(18, 2) as reversed_before_amount,
  v.settlement_rule_id, v.settlement_rule_version
from decisions.invoice_line_verdict v
join decisions.invoice_charge c using (carrier_invoice_id, shipment_id, charge_code)
left join canonical.planned_charge p on p.shipment_id = v.shipment_id and p.charge_code = v.charge_code
left join decisions.contract_charge k on k.shipment_id = v.shipment_id and k.charge_code = v.charge_code
left join decisions.accrual a on a.shipment_id = v.shipment_id and a.charge_code = v.charge_code
left join rules.tolerance t on t.rule_id = v.rule_id and t.rule_version::text = v.rule_version
where v.carrier_invoice_id = %s order by v.shipment_id, v.charge_code
"""

_EARLIER: LiteralString = """
select b.shipment_id, b.charge_code, b.invoice_number, b.correction, b.invoice_on,
  (b.owed_amount + case when b.is_posted then b.recovered_amount else 0 end)::numeric(18, 2) as approved_amount
from decisions.invoice_line_verdict v
join decisions.invoice_line_verdict b on b.shipment_id = v.shipment_id and b.charge_code = v.charge_code
  and b.business_order < v.business_order and b.is_approved
where v.carrier_invoice_id = %s order by b.shipment_id, b.charge_code, b.business_order
"""

_POSTED: LiteralString = """
select m.movement_id, m.posted_on, split_part(m.effect_key, '|', 1) as effect,
  m.attributes ->> 'shipment_id' as shipment_id,
  m.attributes ->> 'charge_code' as charge_code, m.debit_account, m.credit_account, m.currency, m.amount,
  m.functional_currency, m.functional_amount, m.reason, coalesce(n.outcome, 'waiting') as outcome,
  coalesce(n.reference, '') as partner_number
from effects.movement m
left join effects.outbox o on o.journal_id = m.journal_id
left join lateral (select outcome, reference from effects.outcome c where c.outbox_id = o.outbox_id
                   order by (outcome = 'accepted') desc, outcome_id desc limit 1) n on true
where m.aggregate_type = 'carrier_invoice' and m.aggregate_id = %s order by m.movement_id
"""

_WORDS: LiteralString = """
select e.said_at as at, e.party, e.kind, e.said_by as by,
  coalesce((select string_agg(substr(l.shipment_id, 5) || ' ' || l.charge_code || ' ' || l.amount, ', '
                              order by l.shipment_id, l.charge_code)
            from cases.dispute_event_line l where l.event_id = e.event_id), '') as what, e.note
from cases.dispute_event e where e.carrier_invoice_id = %(bill)s
union all
select a.decided_at, 'us', a.verdict, a.decided_by, a.amount || ' ' || a.currency, a.note
from cases.invoice_approval a where a.carrier_invoice_id = %(bill)s
order by 1
"""

# what a bill shows: its verdict first, then what else is particular about it
_KINDS: LiteralString = """
with charge as (
  select v.carrier_invoice_id, count(*)::int as charges, count(distinct v.shipment_id) as shipments,
    bool_or(v.claimed_amount <> 0) as claims, bool_or(v.recovered_amount <> 0) as recovers,
    bool_or(v.approved_before_amount <> 0) as is_second,
    bool_or(v.currency <> v.functional_currency and v.is_posted) as is_foreign,
    bool_or(sign(v.reversal_amount) = -sign(v.planned_amount) and v.reversal_amount <> 0) as reopens,
    bool_or(p.basis = 'rated') as is_rated, bool_or(v.is_posted and v.disputed_amount <> 0) as is_short,
    bool_or(v.is_posted) as is_posted
  from decisions.invoice_line_verdict v
  left join canonical.planned_charge p on p.shipment_id = v.shipment_id and p.charge_code = v.charge_code
  group by v.carrier_invoice_id),
found as (
  select carrier_invoice_id, bool_or(matched_by = 'bol') as by_bol, bool_or(matched_by = 'pro') as by_pro,
    bool_or(matched_by = 'po') as by_po
  from decisions.invoice_link where outcome = 'matched' group by carrier_invoice_id)
select v.carrier_invoice_id, coalesce(c.charges, 0) as charges, array_remove(array[
    'verdict: ' || replace(v.verdict, '_', ' '),
    case when v.correction <> '' then 'correction ' || v.correction end,
    case when c.shipments > 1 then 'several shipments on one bill' end,
    case when c.claims then 'paid and claimed back' end,
    case when c.is_short then 'paid short' end,
    case when c.recovers then 'a credit for a claim' end,
    case when c.is_second then 'after an earlier bill of the shipment' end,
    case when c.is_foreign then 'foreign currency' end,
    case when c.reopens then 'an accrual owed again' end,
    case when c.is_rated then 'planned by the contract' end,
    case when f.by_bol then 'found by bill of lading' end,
    case when f.by_pro then 'found by PRO' end,
    case when f.by_po then 'found by order' end], null) as kinds
from decisions.invoice_verdict v
left join charge c using (carrier_invoice_id)
left join found f using (carrier_invoice_id)
order by v.carrier_invoice_id
"""

Row = TypeVar("Row")


def explained(conn: Conn, carrier_invoice_id: str) -> Explained:
    """Everything about one bill, as decided. Raises PermanentError where there is none."""
    bills = _rows(conn, Bill, _BILL, carrier_invoice_id)
    if not bills:
        raise PermanentError(
            f"no bill {carrier_invoice_id} was judged",
            what_to_do="name it as <SCAC>:<record> or by the carrier's number; in quarantine it is not judged yet",
        )
    with conn.cursor(row_factory=class_row(Word)) as cursor:
        words = cursor.execute(_WORDS, {"bill": carrier_invoice_id}).fetchall()
    return Explained(
        bill=bills[0],
        lines=_rows(conn, Line, _LINES, carrier_invoice_id),
        links=_rows(conn, Link, _LINKS, carrier_invoice_id),
        charges=_rows(conn, Charge, _CHARGES, carrier_invoice_id),
        earlier=_rows(conn, Earlier, _EARLIER, carrier_invoice_id),
        postings=_rows(conn, Posted, _POSTED, carrier_invoice_id),
        words=words,
    )


def find(conn: Conn, name: str, scac: str | None = None) -> list[str]:
    """The bills of this id (`NRDF:17`) or of this number, however spelt, in the order of business.

    Raises PermanentError where none is judged.
    """
    rows = conn.execute(
        """select carrier_invoice_id from canonical.carrier_invoice i
           where (carrier_invoice_id = %(name)s or upper(invoice_number) = upper(%(name)s)
                  or normalized_number = %(plain)s)
             and (%(scac)s::text is null or scac = %(scac)s)
           order by business_order""",
        {"name": name, "plain": _plain(name), "scac": scac},
    ).fetchall()
    if not rows:
        raise PermanentError(
            f"no bill {name}{f' of {scac}' if scac else ''} is known",
            what_to_do="look for it in quarantine (`freightsync quarantine list`), or in the workbook's sheet Carrier "
            "invoices for its number",
        )
    return [str(row[0]) for row in rows]


def _plain(number: str) -> str:
    """A number as the models compare it: without case, punctuation, leading zeros and letters at the end."""
    kept = re.sub("[^A-Z0-9]", "", number.upper())
    return re.sub("[A-Z]+$", "", kept.lstrip("0")) or kept


def examples(conn: Conn, count: int = 10) -> list[tuple[str, list[str]]]:
    """So many bills that together show as much as they can, and what each shows first.

    One of each verdict, the commonest first, and of that verdict the bill that shows most else; then whatever shows
    more. The same books give the same examples: of bills that show as much, one with about two charges, then the
    lowest id.
    """
    with conn.cursor(row_factory=class_row(Kinds)) as cursor:
        left = cursor.execute(_KINDS).fetchall()
    common = Counter(bill.verdict for bill in left)
    seen: set[str] = set()
    chosen: list[tuple[str, list[str]]] = []
    while left and len(chosen) < count:
        unseen = sorted((-common[verdict], verdict) for verdict in common if f"verdict: {verdict}" not in seen)
        of = [bill for bill in left if not unseen or bill.verdict == unseen[0][1]]
        best = min(of, key=partial(_rank, seen=frozenset(seen)))
        left.remove(best)
        chosen.append((best.carrier_invoice_id, [kind for kind in best.kinds if kind not in seen]))
        seen |= set(best.kinds)
    return chosen


def _rank(bill: Kinds, seen: frozenset[str]) -> tuple[int, int, str]:
    """Lowest first: what shows most that is new. One charge shows little, many are tedious."""
    return -len(set(bill.kinds) - seen), abs(bill.charges - 2), bill.carrier_invoice_id


def _rows(conn: Conn, kind: type[Row], query: LiteralString, carrier_invoice_id: str) -> list[Row]:
    with conn.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query, (carrier_invoice_id,)).fetchall()
