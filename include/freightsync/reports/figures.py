"""The figures of the reconciliation workbook, as typed rows.

Each class is one sheet's source and names its grain; its fields are the columns of the relation that it is read from,
so a renamed column fails here, by name, and not as an empty cell in front of finance. No amount is computed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import ClassVar, LiteralString, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import class_row


@dataclass(frozen=True)
class AccrualRollForward:
    """Grain: account, charge code, carrier, currency. closing = opening + accrued - reversed + adjusted."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_accrual_roll_forward")
    order: ClassVar[Sequence[LiteralString]] = ("account", "charge_code", "scac", "currency")
    account: str
    charge_code: str
    scac: str
    currency: str
    opening: Decimal
    accrued: Decimal
    reversed: Decimal
    adjusted: Decimal
    closing: Decimal


@dataclass(frozen=True)
class AccrualOpen:
    """Grain: shipment and charge code: what was accrued for it and what is still open."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_accrual_open")
    order: ClassVar[Sequence[LiteralString]] = ("account", "charge_code", "scac", "shipment_id")
    shipment_id: str
    charge_code: str
    scac: str
    account: str
    currency: str
    accrued: Decimal
    reversed: Decimal
    adjusted: Decimal
    open_amount: Decimal
    delivered_at: datetime | None
    order_numbers: str | None


@dataclass(frozen=True)
class CarrierInvoice:
    """Grain: carrier invoice, and where its money is. billed = paid + disputed + rejected + waiting."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_carrier_invoice")
    order: ClassVar[Sequence[LiteralString]] = ("scac", "invoice_on", "invoice_number", "carrier_invoice_id")
    carrier_invoice_id: str
    scac: str
    invoice_number: str
    correction: str
    invoice_on: date
    currency: str
    billed_amount: Decimal
    paid_amount: Decimal
    disputed_amount: Decimal
    rejected_amount: Decimal
    waiting_amount: Decimal
    verdict: str
    reason: str
    dispute_mode: str
    document_name: str | None
    document_id: int | None
    position: str | None


@dataclass(frozen=True)
class MatchLine:
    """Grain: carrier invoice, shipment, charge code: what was expected, what was billed, and which rule decided."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_invoice_match_line")
    order: ClassVar[Sequence[LiteralString]] = ("scac", "invoice_on", "invoice_number", "shipment_id", "charge_code")
    carrier_invoice_id: str
    scac: str
    invoice_number: str
    correction: str
    invoice_on: date
    shipment_id: str
    charge_code: str
    currency: str
    matched_by: str | None
    expected_amount: Decimal | None
    invoiced_amount: Decimal
    variance_amount: Decimal | None
    allowed_amount: Decimal | None
    paid_amount: Decimal
    disputed_amount: Decimal
    rejected_amount: Decimal
    waiting_amount: Decimal
    verdict: str
    invoice_verdict: str
    rule_id: str | None
    rule_version: str | None
    reason: str | None
    document_name: str | None
    document_id: int | None
    position: str | None


@dataclass(frozen=True)
class InvoiceException:
    """Grain: carrier invoice that was not paid as billed, with the keys tried and the candidates found."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_invoice_exception")
    order: ClassVar[Sequence[LiteralString]] = ("verdict", "scac", "invoice_on", "invoice_number")
    carrier_invoice_id: str
    scac: str
    invoice_number: str
    correction: str
    invoice_on: date
    net_amount: Decimal
    paid_amount: Decimal
    open_amount: Decimal
    currency: str
    verdict: str
    reason: str | None
    keys_tried: str | None
    candidates: str | None
    rule_id: str | None
    rule_version: str | None
    document_name: str | None
    document_id: int | None
    position: str | None


@dataclass(frozen=True)
class DeliveredNotBilled:
    """Grain: delivered shipment and order without a customer invoice, and why."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_delivered_not_billed")
    order: ClassVar[Sequence[LiteralString]] = ("delivered_at", "shipment_id", "order_number")
    shipment_id: str
    order_number: str
    customer_id: str | None
    customer_name: str | None
    scac: str | None
    milestone: str
    delivered_at: datetime | None
    pod_at: datetime | None
    reasons: str
    amount: Decimal | None
    currency: str | None


@dataclass(frozen=True)
class Dispute:
    """Grain: carrier invoice of which something is or was contested or claimed back, with the clock that runs."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_dispute")
    order: ClassVar[Sequence[LiteralString]] = ("next_deadline_at", "scac", "invoice_number", "carrier_invoice_id")
    carrier_invoice_id: str
    scac: str
    invoice_number: str
    currency: str
    dispute_mode: str
    reason_code: str | None
    state: str
    invoiced_amount: Decimal
    disputed_amount: Decimal
    claimed_amount: Decimal
    claim_settled_amount: Decimal
    claim_open_amount: Decimal
    opened_at: datetime
    age_days: int
    next_step: str | None
    next_deadline_at: datetime | None
    is_overdue: bool
    reason: str


@dataclass(frozen=True)
class SettlementKpi:
    """Grain: carrier and currency: counts, days and amounts of which rates are made."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_settlement_kpi")
    order: ClassVar[Sequence[LiteralString]] = ("scac", "currency")
    scac: str
    currency: str
    bills: int
    billed_amount: Decimal
    matched_bills: int
    first_pass_bills: int
    exception_bills: int
    unmatched_bills: int
    duplicate_bills: int
    duplicate_amount: Decimal
    tolerance_amount: Decimal
    accessorial_charges: int
    accessorial_exceptions: int
    manual_touches: int
    decided_bills: int
    decided_days: Decimal
    payable_bills: int
    payable_days: int
    disputes: int
    open_disputes: int
    open_dispute_days: int
    disputed_amount: Decimal
    claimed_amount: Decimal
    recovered_amount: Decimal
    accrued_amount: Decimal
    invoiced_amount: Decimal
    missed_amount: Decimal


@dataclass(frozen=True)
class CustomerKpi:
    """Grain: customer and currency: what is owed and disputed; of days sales outstanding the newest month's inputs."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_customer_kpi")
    order: ClassVar[Sequence[LiteralString]] = ("customer_id", "currency")
    customer_id: str
    currency: str
    invoices: int
    billed_amount: Decimal
    credited_amount: Decimal
    collected_amount: Decimal
    open_amount: Decimal
    month_on: date | None
    month_sales_amount: Decimal
    month_open_amount: Decimal
    days_in_month: int
    disputes: int
    open_disputes: int
    open_dispute_days: int
    disputed_amount: Decimal


@dataclass(frozen=True)
class AccrualAccuracy:
    """Grain: month, carrier, lane, charge, currency: what was accrued against what was billed and approved."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_accrual_accuracy")
    order: ClassVar[Sequence[LiteralString]] = (
        "month",
        "scac",
        "origin_postal",
        "destination_postal",
        "charge_code",
        "currency",
    )
    month: str
    scac: str
    origin_postal: str
    destination_postal: str
    charge_code: str
    currency: str
    charges: int
    billed_charges: int
    accrued_amount: Decimal
    unbilled_amount: Decimal
    billed_accrued_amount: Decimal
    invoiced_amount: Decimal
    missed_amount: Decimal


@dataclass(frozen=True)
class OpenAdvice:
    """Grain: advice (824) of ours that its carrier has not taken."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_open_advice")
    order: ClassVar[Sequence[LiteralString]] = ("partner", "control_number")
    partner: str
    set_id: str
    control_number: int
    invoice_number: str | None
    state: str
    sent_at: datetime | None
    answered_at: datetime | None
    age_days: int
    reason: str


@dataclass(frozen=True)
class LedgerTieOut:
    """Grain: period, account, currency: ours and the ERP's books, and what explains the difference."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_ledger_tie_out")
    order: ClassVar[Sequence[LiteralString]] = ("period", "account", "currency")
    period: str
    account: str
    currency: str
    our_balance: Decimal
    erp_balance: Decimal
    difference: Decimal
    explained: Decimal
    unexplained: Decimal
    undecided_documents: int
    state: str


@dataclass(frozen=True)
class LedgerDrift:
    """Grain: document on which the ERP's books and ours disagree, or did until it was decided."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("decisions", "ledger_drift")
    order: ClassVar[Sequence[LiteralString]] = ("period", "state", "document")
    document: str
    period: str | None
    reason: str
    state: str
    document_type: str | None
    entry_number: str | None
    posted_on: date | None
    currency: str | None
    amount: Decimal
    words: str
    what_to_do: str


@dataclass(frozen=True)
class LedgerBalance:
    """Grain: account and currency, from the effects that we made."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_ledger_balance")
    order: ClassVar[Sequence[LiteralString]] = ("account", "currency")
    account: str
    currency: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True)
class Posting:
    """Grain: one transfer of the effect log: debit account, credit account, a positive amount, and what caused it."""

    relation: ClassVar[tuple[LiteralString, LiteralString]] = ("marts", "fct_posting")
    order: ClassVar[Sequence[LiteralString]] = ("posted_at", "reference", "effect_key", "cause")
    posted_at: datetime
    document_type: str
    reference: str
    partner_number: str | None
    outcome: str | None
    effect_key: str
    cause: str
    debit_account: str
    credit_account: str
    amount: Decimal
    currency: str
    shipment_id: str | None
    charge_code: str | None
    scac: str | None
    rule_id: str | None
    rule_version: str | None
    reason: str | None
    correlation_id: str | None


@dataclass(frozen=True)
class ControlTotal:
    """Grain: feed and currency (null where a feed carries no money), over all landed batches."""

    feed: str
    currency: str | None
    batch_count: int
    received: int
    accepted: int
    quarantined: int
    duplicate: int
    received_amount: Decimal | None
    accepted_amount: Decimal | None
    quarantined_amount: Decimal | None
    duplicate_amount: Decimal | None
    unbalanced_batches: int


@dataclass(frozen=True)
class Quarantined:
    """Grain: a record, or an unreadable document, that the gate set aside and nobody has released yet or ever."""

    quarantine_id: int
    feed: str
    partner: str
    natural_key: str | None
    reasons: list[str]
    messages: list[str]
    is_document: bool
    amount: Decimal | None
    currency: str | None
    document_name: str | None
    document_id: int | None
    position: str | None
    quarantined_at: datetime
    released_at: datetime | None
    released_by: str | None


@dataclass(frozen=True)
class TrialBalanceLine:
    """Grain: account and currency, as the ERP itself states it over its API."""

    account: str
    currency: str
    debit: Decimal
    credit: Decimal


@dataclass(frozen=True)
class Figures:
    """Everything that the workbook shows. Money is Decimal with two decimals, times are UTC."""

    as_of: datetime
    business_on: date
    company: str
    roll_forward: Sequence[AccrualRollForward]
    accruals: Sequence[AccrualOpen]
    invoices: Sequence[CarrierInvoice]
    matches: Sequence[MatchLine]
    exceptions: Sequence[InvoiceException]
    not_billed: Sequence[DeliveredNotBilled]
    ledger: Sequence[LedgerBalance]
    postings: Sequence[Posting]
    control_totals: Sequence[ControlTotal]
    quarantine: Sequence[Quarantined]
    trial_balance: Sequence[TrialBalanceLine]
    disputes: Sequence[Dispute] = ()
    kpis: Sequence[SettlementKpi] = ()
    customer_kpis: Sequence[CustomerKpi] = ()
    accuracy: Sequence[AccrualAccuracy] = ()
    advices: Sequence[OpenAdvice] = ()
    tie_out: Sequence[LedgerTieOut] = ()
    drift: Sequence[LedgerDrift] = ()


Row = TypeVar(
    "Row",
    AccrualRollForward,
    AccrualOpen,
    CarrierInvoice,
    MatchLine,
    InvoiceException,
    DeliveredNotBilled,
    LedgerBalance,
    Posting,
    Dispute,
    SettlementKpi,
    CustomerKpi,
    AccrualAccuracy,
    OpenAdvice,
    LedgerTieOut,
    LedgerDrift,
)

_CONTROL_TOTALS = """
select feed, currency, count(*) as batch_count,
       sum(received)::bigint as received, sum(accepted)::bigint as accepted,
       sum(quarantined)::bigint as quarantined, sum(duplicate)::bigint as duplicate,
       sum(received_amount) as received_amount, sum(accepted_amount) as accepted_amount,
       sum(quarantined_amount) as quarantined_amount, sum(duplicate_amount) as duplicate_amount,
       count(*) filter (where not balanced) as unbalanced_batches
  from ops.control_total_check
 group by feed, currency
 order by feed, currency nulls first
"""

_QUARANTINE = """
select q.quarantine_id, q.feed, q.partner, q.natural_key, q.reasons, q.messages, q.is_document, q.amount, q.currency,
       d.name as document_name, q.document_id, q.position, q.quarantined_at, r.released_at, r.released_by
  from quality.quarantine q
  left join landing.document d on d.document_id = q.document_id
  left join quality.release r on r.quarantine_id = q.quarantine_id
 order by q.feed, q.reasons, q.natural_key, q.quarantine_id
"""


def gather(
    connection: psycopg.Connection[tuple[object, ...]],
    *,
    as_of: datetime,
    business_on: date,
    trial_balance: Sequence[TrialBalanceLine],
    company: str = "",
) -> Figures:
    """Reads every figure in one repeatable-read snapshot, so that the sheets tie to each other.

    connection: any role that may read marts, ops, quality and landing; not inside a transaction.
    Raises psycopg.Error where a mart or a column is missing.
    """
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read, read only")
        with connection.cursor(row_factory=class_row(ControlTotal)) as totals:
            control_totals = totals.execute(_CONTROL_TOTALS).fetchall()
        with connection.cursor(row_factory=class_row(Quarantined)) as set_aside:
            quarantine = set_aside.execute(_QUARANTINE).fetchall()
        return Figures(
            as_of=as_of,
            business_on=business_on,
            company=company,
            roll_forward=_rows(connection, AccrualRollForward),
            accruals=_rows(connection, AccrualOpen),
            invoices=_rows(connection, CarrierInvoice),
            matches=_rows(connection, MatchLine),
            exceptions=_rows(connection, InvoiceException),
            not_billed=_rows(connection, DeliveredNotBilled),
            ledger=_rows(connection, LedgerBalance),
            postings=_rows(connection, Posting),
            control_totals=control_totals,
            quarantine=quarantine,
            trial_balance=sorted(trial_balance, key=lambda line: (line.account, line.currency)),
            disputes=_rows(connection, Dispute),
            kpis=_rows(connection, SettlementKpi),
            customer_kpis=_rows(connection, CustomerKpi),
            accuracy=_rows(connection, AccrualAccuracy),
            advices=_rows(connection, OpenAdvice),
            tie_out=_rows(connection, LedgerTieOut),
            drift=_rows(connection, LedgerDrift),
        )


def _rows(connection: psycopg.Connection[tuple[object, ...]], kind: type[Row]) -> list[Row]:
    """All rows of a mart, ordered, only the columns that the class names."""
    query = sql.SQL("select {columns} from {relation} order by {order}").format(
        columns=sql.SQL(", ").join(sql.Identifier(field.name) for field in dataclasses.fields(kind)),
        relation=sql.Identifier(*kind.relation),
        order=sql.SQL(", ").join(sql.Identifier(name) for name in kind.order),
    )
    with connection.cursor(row_factory=class_row(kind)) as cursor:
        return cursor.execute(query).fetchall()
