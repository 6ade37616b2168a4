"""The reconciliation workbook: what finance opens first thing in the morning.

Summary comes first: does everything tie, and if not, which line; then what needs a person today. Every figure on it is
a live formula over the other sheets, whose rows carry document ids and the rule that decided.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import xlsxwriter
from xlsxwriter.worksheet import Worksheet

from freightsync.reports import settlement_sheets as settlement
from freightsync.reports.figures import (
    AccrualOpen,
    AccrualRollForward,
    CarrierInvoice,
    ControlTotal,
    DeliveredNotBilled,
    Figures,
    InvoiceException,
    MatchLine,
    Posting,
    Quarantined,
)
from freightsync.reports.settlement_sheets import MODES
from freightsync.reports.sheets import NAVY, Column, Look, Table, cell, criterion, lay_table, print_setup, put_text

ACCRUED, PAYABLE, RECEIVABLE = "2150", "2100", "1200"
ZERO = Decimal(0)

CORRECTIONS = (
    "Correction indicator: BD balance due, SU supplemental, CO correction, AD adjustment, RB rebill, CA cancellation, "
    "CR credit."
)

WORDS = {
    "no_candidate": "No shipment found by any key",
    "several_candidates": "Reference fits several shipments",
    "out_of_tolerance": "Billed more or less than the tolerance allows",
    "unplanned_charge": "Charge that was not planned",
    "correction_not_supported": "A kind of correction that is not settled by itself",
    "rebuttal": "The carrier contradicts our answer",
    "corrected_bill_unknown": "Corrects a bill that nobody sent",
    "cancellation_differs": "Cancels another amount than was billed",
    "billed_too_late": "Further charges came too late",
    "duplicate_charge": "Charge billed before",
    "needs_approval": "Fits, and is above the limit for paying unseen",
    "not_accrued": "Fits, waits for its accrual",
    "rejected": "Rejected by a person",
    "replaced": "Replaced by a rebill",
    "cancelled": "Cancelled by the carrier",
    "cancellation": "Cancels an earlier bill",
    "agreed": "Paid as agreed",
    "audited": "Paid as the freight audit says",
    "duplicate_number": "Invoice number billed before",
    "duplicate_move": "Same move billed before",
    "self_billed": "Billed beside our own document, with a difference",
    "duplicate_self_bill": "Paid already by our own document",
    "awaits_self_bill": "Waits for our own document",
    "not_delivered": "Shipment not delivered yet",
    "no_account": "Fits, but no account or policy to post it to",
    "exact": "Matches exactly",
    "in_tolerance": "Within tolerance",
    "approved": "Approved",
    "pod_missing": "No proof of delivery yet",
    "pod_signature_missing": "POD without signature",
    "pod_piece_count_differs": "POD piece count differs from the plan",
    "pod_osd_reported": "POD reports over, short or damaged",
    "waiting_for_other_pods": "Waits for the order's other PODs",
    "no_plan": "No shipment plan",
    "freight_currency_differs": "Freight planned in another currency than the order's",
}


@dataclass(frozen=True)
class Written:
    """What was written. differences counts tie-out lines that are not zero: 0 is a morning without surprises."""

    path: Path
    differences: int
    tie_outs: Mapping[str, Decimal]


@dataclass(frozen=True)
class _LedgerLine:
    """Grain: account and currency; ours beside the ERP's."""

    account: str
    currency: str
    our_debit: Decimal
    our_credit: Decimal
    erp_debit: Decimal
    erp_credit: Decimal

    @property
    def ours(self) -> Decimal:
        return self.our_debit - self.our_credit

    @property
    def theirs(self) -> Decimal:
        return self.erp_debit - self.erp_credit

    @property
    def off(self) -> Decimal:
        """Debit and credit compared apart: two wrongs that cancel in the balance are still two wrongs."""
        return abs(self.our_debit - self.erp_debit) + abs(self.our_credit - self.erp_credit)


@dataclass(frozen=True)
class _TieOut:
    """Two figures that must be the same, each as a formula and as what it comes to. unit: 'money' or 'count'."""

    what: str
    left_label: str
    left: str
    left_value: Decimal
    right_label: str
    right: str
    right_value: Decimal
    sheet: str
    money: bool = True

    @property
    def difference(self) -> Decimal:
        return self.left_value - self.right_value


def write_workbook(figures: Figures, path: Path) -> Written:
    """Writes the workbook, whole or not at all (temporary file, then rename).

    Raises TypeError where a figure is not of its kind, OSError where the directory can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".xlsx", dir=path.parent)
    os.close(handle)
    try:
        tie_outs = _write(figures, Path(temporary))
        Path(temporary).chmod(0o640)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return Written(
        path=path,
        differences=sum(1 for line in tie_outs if line.difference != 0),
        tie_outs={line.what: line.difference for line in tie_outs},
    )


def _write(figures: Figures, path: Path) -> list[_TieOut]:
    book = xlsxwriter.Workbook(
        str(path),
        {
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "default_date_format": "yyyy-mm-dd",
        },
    )
    book.set_properties(
        {
            "title": f"Freight reconciliation {figures.business_on.isoformat()}",
            "company": figures.company,
            "author": "freightsync",
            # the same figures give the same file
            "created": figures.as_of.astimezone(UTC).replace(tzinfo=None),
        }
    )
    book.set_calc_mode("auto")
    look = Look(book)
    summary = book.add_worksheet("Summary")
    footer = f"freightsync · reconciliation of {figures.business_on.isoformat()} · {_utc(figures.as_of)}"

    ledger = _ledger_lines(figures)
    laid = {
        "roll": lay_table(book, look, _roll_forward_table(figures), footer=footer),
        "bills": lay_table(book, look, _invoice_table(figures), footer=footer),
        "match": lay_table(book, look, _match_table(figures), footer=footer),
        "exceptions": lay_table(book, look, _exception_table(figures), footer=footer),
        "not_billed": lay_table(book, look, _not_billed_table(figures), footer=footer),
        "controls": lay_table(book, look, _control_table(figures), footer=footer),
        "quarantine": lay_table(book, look, _quarantine_table(figures), footer=footer),
        "postings": lay_table(book, look, _posting_table(figures), footer=footer),
        "ledger": lay_table(book, look, _ledger_table(ledger), footer=footer),
        "open": lay_table(book, look, _open_table(figures), footer=footer),
        "disputes": lay_table(book, look, settlement.dispute_table(figures), footer=footer),
        "advices": lay_table(book, look, settlement.advice_table(figures), footer=footer),
        "accuracy": lay_table(book, look, settlement.accuracy_table(figures), footer=footer),
        "kpis": lay_table(book, look, settlement.kpi_table(figures), footer=footer),
        "customers": lay_table(book, look, settlement.customer_kpi_table(figures), footer=footer),
        "tie_out": lay_table(book, look, settlement.tie_out_table(figures), footer=footer),
        "drift": lay_table(book, look, settlement.drift_table(figures), footer=footer),
    }
    names = {sheet: part.names for sheet, part in laid.items()}
    tie_outs = _tie_outs(figures, ledger, names)
    _summary(book, summary, look, figures, tie_outs, names)
    print_setup(summary, heading=None, footer=footer)
    summary.activate()
    book.close()
    return tie_outs


# -- the sheets -----------------------------------------------------------------------------------------------------


def _roll_forward_table(figures: Figures) -> Table[AccrualRollForward]:
    opens: defaultdict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for row in figures.accruals:
        opens[row.account, row.charge_code, row.scac, row.currency] += row.open_amount

    def by_shipment(row: AccrualRollForward) -> Decimal:
        return opens[row.account, row.charge_code, row.scac, row.currency]

    def closing(row: AccrualRollForward) -> Decimal:
        return row.opening + row.accrued - row.reversed + row.adjusted

    return Table(
        name="Accrual roll-forward",
        title="Accrual roll-forward",
        subtitle="Opening + accrued − reversed ± adjusted = closing, by account, charge and carrier. "
        "Closing is calculated here and compared with the open accruals shipment by shipment.",
        prefix="Roll",
        columns=[
            Column("Account", 19, lambda row: row.account, key="Account"),
            Column("Charge", 15, lambda row: row.charge_code),
            Column("Carrier", 10, lambda row: row.scac),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Opening", 15, lambda row: row.opening, "money", total=True),
            Column("Accrued", 15, lambda row: row.accrued, "money", total=True, key="Accrued"),
            Column("Reversed", 15, lambda row: row.reversed, "money", total=True, key="Reversed"),
            Column("Adjusted", 15, lambda row: row.adjusted, "money", total=True),
            Column(
                "Closing",
                15,
                closing,
                "money",
                formula="=[Opening]+[Accrued]-[Reversed]+[Adjusted]",
                total=True,
                key="Closing",
            ),
            Column(
                "Open by shipment",
                16,
                by_shipment,
                "money",
                formula="=SUMIFS(Open_Amount,Open_Account,[Account],Open_Charge,[Charge],Open_Carrier,[Carrier],"
                "Open_Currency,[Currency])",
                total=True,
            ),
            Column(
                "Difference",
                13,
                lambda row: closing(row) - by_shipment(row),
                "money",
                formula="=ROUND([Closing]-[Open by shipment],2)",
                total=True,
            ),
        ],
        rows=figures.roll_forward,
        empty="Nothing was accrued.",
        currency=lambda row: row.currency,
        freeze_columns=3,
        reds={"Difference": "=[]<>0"},
    )


def _open_table(figures: Figures) -> Table[AccrualOpen]:
    return Table(
        name="Accruals by shipment",
        title="Accruals by shipment",
        subtitle="What stands behind the roll-forward: one row a shipment and charge. Filter Open for what is still "
        "to be billed by the carrier.",
        prefix="Open",
        columns=[
            Column("Shipment", 19, lambda row: row.shipment_id),
            Column("Charge", 14, lambda row: row.charge_code, key="Charge"),
            Column("Carrier", 9, lambda row: row.scac, key="Carrier"),
            Column("Account", 10, lambda row: row.account, key="Account"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Delivered (UTC)", 17, lambda row: row.delivered_at, "time"),
            Column("Orders", 26, lambda row: row.order_numbers),
            Column("Accrued", 14, lambda row: row.accrued, "money", total=True),
            Column("Reversed", 14, lambda row: row.reversed, "money", total=True),
            Column("Adjusted", 14, lambda row: row.adjusted, "money", total=True),
            Column(
                "Open",
                14,
                lambda row: row.accrued - row.reversed + row.adjusted,
                "money",
                formula="=[Accrued]-[Reversed]+[Adjusted]",
                total=True,
                key="Amount",
            ),
        ],
        rows=figures.accruals,
        empty="Nothing was accrued.",
        currency=lambda row: row.currency,
        freeze_columns=2,
    )


def written_by(row: CarrierInvoice) -> str:
    """What we bill ourselves comes through no gate."""
    return "us" if row.carrier_invoice_id.startswith("SELF:") else "carrier"


def _invoice_table(figures: Figures) -> Table[CarrierInvoice]:
    return Table(
        name="Carrier invoices",
        title="Carrier invoices, and where every cent of them is",
        subtitle="Billed = paid + disputed + rejected + waiting. Disputed: beyond what is owed, not agreed on yet. "
        "Rejected: never to be paid, as of a duplicate or of a bill that was replaced.",
        prefix="Bill",
        columns=[
            Column("Invoice", 18, lambda row: row.invoice_number),
            Column("Carrier", 9, lambda row: row.scac, key="Carrier"),
            Column("Type", 7, lambda row: row.correction, note=CORRECTIONS),
            Column("Invoice date", 12, lambda row: row.invoice_on, "date"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Billed", 14, lambda row: row.billed_amount, "money", total=True, key="Billed"),
            Column("Paid", 14, lambda row: row.paid_amount, "money", total=True, key="Paid"),
            Column("Disputed", 14, lambda row: row.disputed_amount, "money", total=True, key="Disputed"),
            Column("Rejected", 14, lambda row: row.rejected_amount, "money", total=True, key="Rejected"),
            Column("Waiting", 14, lambda row: row.waiting_amount, "money", total=True, key="Waiting"),
            Column(
                "Difference",
                12,
                lambda row: (
                    row.billed_amount - row.paid_amount - row.disputed_amount - row.rejected_amount - row.waiting_amount
                ),
                "money",
                formula="=ROUND([Billed]-[Paid]-[Disputed]-[Rejected]-[Waiting],2)",
                total=True,
            ),
            Column("Verdict", 20, lambda row: row.verdict),
            Column("Why", 52, lambda row: row.reason, "wrapped"),
            Column("What does not fit is", 18, lambda row: MODES.get(row.dispute_mode, row.dispute_mode)),
            Column("Document", 30, lambda row: row.document_name),
            Column("Document id", 11, lambda row: row.document_id),
            Column("Position", 22, lambda row: row.position),
            Column("Written by", 12, written_by, key="WrittenBy"),
        ],
        rows=figures.invoices,
        empty="No carrier invoice was judged.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        reds={"Difference": "=[]<>0"},
    )


def _match_table(figures: Figures) -> Table[MatchLine]:
    def percent(row: MatchLine) -> Decimal | None:
        if not row.expected_amount or row.variance_amount is None:
            return None
        return row.variance_amount / row.expected_amount

    def variance(row: MatchLine) -> Decimal | None:
        return None if row.expected_amount is None else row.invoiced_amount - row.expected_amount

    return Table(
        name="Matches and variances",
        title="Matches and variances",
        subtitle="One row a billed charge: expected against invoiced, and the rule that decided. "
        "Every cent of a line is paid, disputed, rejected or waiting.",
        prefix="Match",
        columns=[
            Column("Invoice", 18, lambda row: row.invoice_number),
            Column("Carrier", 9, lambda row: row.scac),
            Column(
                "Type",
                7,
                lambda row: row.correction,
                note=CORRECTIONS,
            ),
            Column("Invoice date", 12, lambda row: row.invoice_on, "date"),
            Column("Shipment", 14, lambda row: row.shipment_id),
            Column("Charge", 14, lambda row: row.charge_code),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Expected", 13, lambda row: row.expected_amount, "money", total=True),
            Column("Invoiced", 13, lambda row: row.invoiced_amount, "money", total=True, key="Invoiced"),
            Column(
                "Variance",
                13,
                variance,
                "money",
                formula='=IF([Expected]="","",ROUND([Invoiced]-[Expected],2))',
                total=True,
            ),
            Column("Variance %", 11, percent, "percent", formula='=IF(N([Expected])=0,"",[Variance]/[Expected])'),
            Column("Allowed over", 12, lambda row: row.allowed_amount, "money"),
            Column("Paid", 13, lambda row: row.paid_amount, "money", total=True, key="Paid"),
            Column("Disputed", 13, lambda row: row.disputed_amount, "money", total=True),
            Column("Rejected", 13, lambda row: row.rejected_amount, "money", total=True),
            Column("Waiting", 13, lambda row: row.waiting_amount, "money", total=True),
            Column("Line verdict", 18, lambda row: row.verdict),
            Column("Invoice verdict", 18, lambda row: row.invoice_verdict),
            Column("Matched by", 13, lambda row: row.matched_by),
            Column("Rule", 24, lambda row: _rule(row.rule_id, row.rule_version)),
            Column("Reason", 52, lambda row: row.reason),
            Column("Document", 30, lambda row: row.document_name),
            Column("Document id", 11, lambda row: row.document_id),
            Column("Position", 22, lambda row: row.position),
        ],
        rows=figures.matches,
        empty="No carrier invoice was matched.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        reds={"Disputed": "=[]<>0"},
    )


def _exception_table(figures: Figures) -> Table[InvoiceException]:
    return Table(
        name="Exceptions",
        title="Carrier invoices that wait for a person",
        subtitle="Not paid as billed; each says what was tried and what was found. Open: disputed or waiting.",
        prefix="Exception",
        columns=[
            Column("Invoice", 18, lambda row: row.invoice_number),
            Column("Carrier", 9, lambda row: row.scac, key="Carrier"),
            Column("Type", 7, lambda row: row.correction),
            Column("Invoice date", 12, lambda row: row.invoice_on, "date"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Amount", 14, lambda row: row.net_amount, "money", total=True, key="Amount"),
            Column("Paid", 14, lambda row: row.paid_amount, "money", total=True),
            Column("Open", 14, lambda row: row.open_amount, "money", total=True, key="Open"),
            Column("Verdict", 20, lambda row: row.verdict, key="Verdict"),
            Column("Why", 52, lambda row: row.reason or WORDS.get(row.verdict, ""), "wrapped"),
            Column("Keys tried", 34, lambda row: row.keys_tried, "wrapped"),
            Column("Candidates", 26, lambda row: row.candidates, "wrapped"),
            Column("Rule", 22, lambda row: _rule(row.rule_id, row.rule_version)),
            Column("Document", 30, lambda row: row.document_name),
            Column("Document id", 11, lambda row: row.document_id),
            Column("Position", 22, lambda row: row.position),
        ],
        rows=figures.exceptions,
        empty="No carrier invoice waits for anybody.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        tab="#B4610A",
    )


def _not_billed_table(figures: Figures) -> Table[DeliveredNotBilled]:
    def days(row: DeliveredNotBilled) -> int | None:
        return None if row.delivered_at is None else max(0, (figures.as_of - row.delivered_at).days)

    return Table(
        name="Delivered not billed",
        title="Delivered, not billed",
        subtitle="Shipments at their destination without a customer invoice, and what holds each.",
        prefix="Unbilled",
        columns=[
            Column("Shipment", 19, lambda row: row.shipment_id, key="Shipment"),
            Column("Order", 13, lambda row: row.order_number),
            Column("Customer", 11, lambda row: row.customer_id),
            Column("Customer name", 26, lambda row: row.customer_name),
            Column("Carrier", 9, lambda row: row.scac),
            Column("Milestone", 14, lambda row: row.milestone),
            Column("Delivered (UTC)", 17, lambda row: row.delivered_at, "time"),
            Column("POD (UTC)", 17, lambda row: row.pod_at, "time"),
            Column("Days", 8, days, "count"),
            Column("Reasons", 40, lambda row: row.reasons, "wrapped", key="Reasons"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("To be billed", 14, lambda row: row.amount, "money", total=True, key="Amount"),
        ],
        rows=figures.not_billed,
        empty="Everything that was delivered has been billed.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        tab="#B4610A",
    )


def _control_table(figures: Figures) -> Table[ControlTotal]:
    def records(row: ControlTotal) -> int:
        return row.received - row.accepted - row.quarantined - row.duplicate

    def money(row: ControlTotal) -> Decimal:
        return (
            (row.received_amount or ZERO)
            - (row.accepted_amount or ZERO)
            - (row.quarantined_amount or ZERO)
            - (row.duplicate_amount or ZERO)
        )

    return Table(
        name="Control totals",
        title="Control totals",
        subtitle="Received = accepted + quarantined + duplicate, in records and in money, for every feed. "
        "An unreadable file counts as one record with unknown money.",
        prefix="Control",
        columns=[
            Column("Feed", 26, lambda row: row.feed, key="Feed"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Batches", 10, lambda row: row.batch_count, "count"),
            Column("Received", 12, lambda row: row.received, "count", total=True, key="Received"),
            Column("Accepted", 12, lambda row: row.accepted, "count", total=True, key="Accepted"),
            Column("Quarantined", 12, lambda row: row.quarantined, "count", total=True, key="Quarantined"),
            Column("Duplicate", 12, lambda row: row.duplicate, "count", total=True, key="Duplicate"),
            Column(
                "Difference",
                12,
                records,
                "count",
                formula="=[Received]-[Accepted]-[Quarantined]-[Duplicate]",
                total=True,
            ),
            Column("Received amount", 17, lambda row: row.received_amount, "money", total=True, key="ReceivedAmount"),
            Column("Accepted amount", 17, lambda row: row.accepted_amount, "money", total=True, key="AcceptedAmount"),
            Column(
                "Quarantined amount",
                17,
                lambda row: row.quarantined_amount,
                "money",
                total=True,
                key="QuarantinedAmount",
            ),
            Column(
                "Duplicate amount", 17, lambda row: row.duplicate_amount, "money", total=True, key="DuplicateAmount"
            ),
            Column(
                "Difference in money",
                14,
                money,
                "money",
                formula="=ROUND(N([Received amount])-N([Accepted amount])-N([Quarantined amount])"
                "-N([Duplicate amount]),2)",
                total=True,
            ),
            Column("Batches that don't balance", 14, lambda row: row.unbalanced_batches, "count", key="Unbalanced"),
        ],
        rows=figures.control_totals,
        empty="Nothing was received.",
        currency=lambda row: row.currency,
        reds={"Difference": "=[]<>0", "Difference in money": "=[]<>0", "Batches that don't balance": "=[]<>0"},
    )


def _quarantine_table(figures: Figures) -> Table[Quarantined]:
    return Table(
        name="Quarantine",
        title="Quarantine",
        subtitle="Records that the gate set aside, with why and what to do. Fix at the source or release, and all "
        "that is blocked behind goes on by itself.",
        prefix="Quarantine",
        columns=[
            Column("Feed", 23, lambda row: row.feed, key="Feed"),
            Column("Partner", 10, lambda row: row.partner),
            Column("Key", 24, lambda row: row.natural_key),
            Column("Reasons", 27, lambda row: ", ".join(row.reasons), "wrapped", key="Reasons"),
            Column("What is wrong and what to do", 70, lambda row: "\n".join(row.messages), "wrapped"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Amount", 14, lambda row: row.amount, "money", total=True, key="Amount"),
            Column("Whole file", 10, lambda row: "yes" if row.is_document else ""),
            Column("Document", 30, lambda row: row.document_name),
            Column("Document id", 11, lambda row: row.document_id),
            Column("Position", 22, lambda row: row.position),
            Column("Set aside (UTC)", 17, lambda row: row.quarantined_at, "time"),
            Column("Released (UTC)", 17, lambda row: row.released_at, "time", key="Released"),
            Column("Released by", 16, lambda row: row.released_by),
        ],
        rows=figures.quarantine,
        empty="Nothing is in quarantine.",
        currency=lambda row: row.currency,
        freeze_columns=3,
        tab="#B4610A",
    )


def _posting_table(figures: Figures) -> Table[Posting]:
    return Table(
        name="Postings",
        title="Postings",
        subtitle="Every transfer that was made, with what caused it, the rule that decided and what the ERP answered.",
        prefix="Posting",
        columns=[
            Column("Posted (UTC)", 19, lambda row: row.posted_at, "time"),
            Column("Document", 17, lambda row: row.document_type, key="Document"),
            Column("Reference", 28, lambda row: row.reference),
            Column("ERP number", 13, lambda row: row.partner_number),
            Column("ERP's answer", 14, lambda row: row.outcome, key="Outcome"),
            Column("Debit", 8, lambda row: row.debit_account, key="Debit"),
            Column("Credit", 8, lambda row: row.credit_account, key="Credit"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Amount", 14, lambda row: row.amount, "money", total=True, key="Amount"),
            Column("Shipment", 13, lambda row: row.shipment_id),
            Column("Charge", 13, lambda row: row.charge_code),
            Column("Carrier", 9, lambda row: row.scac),
            Column("Effect", 40, lambda row: row.effect_key),
            Column("Cause", 36, lambda row: row.cause),
            Column("Rule", 24, lambda row: _rule(row.rule_id, row.rule_version)),
            Column("Reason", 44, lambda row: row.reason),
            Column("Correlation", 38, lambda row: row.correlation_id),
        ],
        rows=figures.postings,
        empty="Nothing was posted.",
        currency=lambda row: row.currency,
        freeze_columns=2,
    )


def _ledger_lines(figures: Figures) -> list[_LedgerLine]:
    """Full outer join: an account that only one side knows is a difference, not an omission."""
    ours = {(row.account, row.currency): row for row in figures.ledger}
    theirs = {(row.account, row.currency): row for row in figures.trial_balance}
    return [
        _LedgerLine(
            account=key[0],
            currency=key[1],
            our_debit=ours[key].debit if key in ours else ZERO,
            our_credit=ours[key].credit if key in ours else ZERO,
            erp_debit=theirs[key].debit if key in theirs else ZERO,
            erp_credit=theirs[key].credit if key in theirs else ZERO,
        )
        for key in sorted(ours.keys() | theirs.keys())
    ]


def _ledger_table(lines: Sequence[_LedgerLine]) -> Table[_LedgerLine]:
    return Table(
        name="Ledger vs ERP",
        title="Our ledger against the ERP's trial balance",
        subtitle="Ours: the sum of what we posted. The ERP's: as it states it itself, read over its API for this "
        "report. Debits and credits are compared apart.",
        prefix="Ledger",
        columns=[
            Column("Account", 19, lambda row: row.account, key="Account"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Our debit", 17, lambda row: row.our_debit, "money", total=True, key="OurDebit"),
            Column("Our credit", 17, lambda row: row.our_credit, "money", total=True, key="OurCredit"),
            Column(
                "Our balance",
                17,
                lambda row: row.ours,
                "money",
                formula="=[Our debit]-[Our credit]",
                total=True,
                key="OurBalance",
            ),
            Column("ERP debit", 17, lambda row: row.erp_debit, "money", total=True, key="ErpDebit"),
            Column("ERP credit", 17, lambda row: row.erp_credit, "money", total=True, key="ErpCredit"),
            Column(
                "ERP balance",
                17,
                lambda row: row.theirs,
                "money",
                formula="=[ERP debit]-[ERP credit]",
                total=True,
                key="ErpBalance",
            ),
            Column(
                "Difference",
                14,
                lambda row: row.off,
                "money",
                formula="=ROUND(ABS([Our debit]-[ERP debit])+ABS([Our credit]-[ERP credit]),2)",
                total=True,
                key="Difference",
            ),
            Column(
                "Status",
                14,
                lambda row: "OK" if row.off == 0 else "DIFFERENCE",
                formula='=IF([Difference]=0,"OK","DIFFERENCE")',
            ),
        ],
        rows=lines,
        empty="Neither we nor the ERP hold any posting.",
        currency=lambda row: row.currency,
        reds={"Difference": "=[]<>0", "Status": '=[]<>"OK"'},
    )


# -- the summary ----------------------------------------------------------------------------------------------------


def _tie_outs(figures: Figures, ledger: Sequence[_LedgerLine], names: Mapping[str, Mapping[str, str]]) -> list[_TieOut]:
    """Everything that must be zero, currency by currency."""
    currencies = sorted(
        {line.currency for line in ledger} | {row.currency for row in figures.control_totals if row.currency}
    )
    roll, match, exceptions, open_ = names["roll"], names["match"], names["exceptions"], names["open"]
    bills = names["bills"]
    controls, quarantine, postings, book = names["controls"], names["quarantine"], names["postings"], names["ledger"]
    lines: list[_TieOut] = []

    def balance(account: str, currency: str, side: str) -> tuple[str, Decimal]:
        """Credit balance of an account, ours or the ERP's."""
        debit, credit = book[f"{side}Debit"], book[f"{side}Credit"]
        where = f'{book["Account"]},"{account}",{book["Currency"]},{criterion(currency)}'
        mine = [line for line in ledger if (line.account, line.currency) == (account, currency)]
        value = sum(
            (
                (line.our_credit - line.our_debit if side == "Our" else line.erp_credit - line.erp_debit)
                for line in mine
            ),
            ZERO,
        )
        return f"SUMIFS({credit},{where})-SUMIFS({debit},{where})", value

    lines.append(
        _TieOut(
            what="Received = accepted + quarantined + duplicate, in records",
            left_label="received",
            left=f"SUM({controls['Received']})",
            left_value=Decimal(sum(row.received for row in figures.control_totals)),
            right_label="accepted + quarantined + duplicate",
            right=f"SUM({controls['Accepted']})+SUM({controls['Quarantined']})+SUM({controls['Duplicate']})",
            right_value=Decimal(sum(row.accepted + row.quarantined + row.duplicate for row in figures.control_totals)),
            sheet="Control totals",
            money=False,
        )
    )
    lines.append(
        _TieOut(
            what="Landed batches that don't balance by themselves",
            left_label="batches",
            left=f"SUM({controls['Unbalanced']})",
            left_value=Decimal(sum(row.unbalanced_batches for row in figures.control_totals)),
            right_label="must be none",
            right="0",
            right_value=ZERO,
            sheet="Control totals",
            money=False,
        )
    )
    unreleased = [row for row in figures.quarantine if row.released_at is None]
    lines.append(
        _TieOut(
            what="Quarantine sheet = control totals, in records",
            left_label="in quarantine",
            left=f'COUNTIFS({quarantine["Feed"]},"?*",{quarantine["Released"]},"")',
            left_value=Decimal(len(unreleased)),
            right_label="counted as quarantined",
            right=f"SUM({controls['Quarantined']})",
            right_value=Decimal(sum(row.quarantined for row in figures.control_totals)),
            sheet="Quarantine",
            money=False,
        )
    )
    for currency in currencies:
        of = f" ({currency})" if len(currencies) > 1 else ""
        totals = [row for row in figures.control_totals if row.currency == currency]
        here = f"{controls['Currency']},{criterion(currency)}"
        lines.append(
            _TieOut(
                what=f"Received = accepted + quarantined + duplicate, in money{of}",
                left_label="received",
                left=f"SUMIFS({controls['ReceivedAmount']},{here})",
                left_value=sum((row.received_amount or ZERO for row in totals), ZERO),
                right_label="accepted + quarantined + duplicate",
                right="+".join(
                    f"SUMIFS({controls[key]},{here})"
                    for key in ("AcceptedAmount", "QuarantinedAmount", "DuplicateAmount")
                ),
                right_value=sum(
                    (
                        (row.accepted_amount or ZERO)
                        + (row.quarantined_amount or ZERO)
                        + (row.duplicate_amount or ZERO)
                        for row in totals
                    ),
                    ZERO,
                ),
                sheet="Control totals",
            )
        )
        mine_bills = [row for row in figures.invoices if row.currency == currency]

        def of_bills(*keys: str, where: str = f"{bills['Currency']},{criterion(currency)}") -> str:
            return "+".join(f"SUMIFS({bills[key]},{where})" for key in keys)

        lines.append(
            _TieOut(
                what=f"Carrier invoices accepted at the gate, and our own for carriers = carrier invoices judged{of}",
                left_label="accepted at the gate, and ours",
                left=f'SUMIFS({controls["AcceptedAmount"]},{controls["Feed"]},"carrier.invoice*",{here})+'
                + of_bills("Billed", where=f'{bills["Currency"]},{criterion(currency)},{bills["WrittenBy"]},"us"'),
                left_value=sum(
                    (row.accepted_amount or ZERO for row in totals if row.feed.startswith("carrier.invoice")), ZERO
                )
                + sum((row.billed_amount for row in mine_bills if written_by(row) == "us"), ZERO),
                right_label="billed",
                right=of_bills("Billed"),
                right_value=sum((row.billed_amount for row in mine_bills), ZERO),
                sheet="Carrier invoices",
            )
        )
        lines.append(
            _TieOut(
                what=f"Carrier invoices = paid + disputed + rejected + waiting{of}",
                left_label="billed",
                left=of_bills("Billed"),
                left_value=sum((row.billed_amount for row in mine_bills), ZERO),
                right_label="paid + disputed + rejected + waiting",
                right=of_bills("Paid", "Disputed", "Rejected", "Waiting"),
                right_value=sum(
                    (
                        row.paid_amount + row.disputed_amount + row.rejected_amount + row.waiting_amount
                        for row in mine_bills
                    ),
                    ZERO,
                ),
                sheet="Carrier invoices",
            )
        )
        lines.append(
            _TieOut(
                what=f"Disputed and waiting = open exceptions{of}",
                left_label="disputed + waiting",
                left=of_bills("Disputed", "Waiting"),
                left_value=sum((row.disputed_amount + row.waiting_amount for row in mine_bills), ZERO),
                right_label="open",
                right=f"SUMIFS({exceptions['Open']},{exceptions['Currency']},{criterion(currency)})",
                right_value=sum((row.open_amount for row in figures.exceptions if row.currency == currency), ZERO),
                sheet="Exceptions",
            )
        )
        disputes = names["disputes"]
        lines.append(
            _TieOut(
                what=f"Disputed of carrier invoices = disputed of disputes{of}",
                left_label="disputed, by invoice",
                left=of_bills("Disputed"),
                left_value=sum((row.disputed_amount for row in mine_bills), ZERO),
                right_label="disputed, by dispute",
                right=f"SUMIFS({disputes['Disputed']},{disputes['Currency']},{criterion(currency)})",
                right_value=sum((row.disputed_amount for row in figures.disputes if row.currency == currency), ZERO),
                sheet="Disputes",
            )
        )
        kpis = names["kpis"]
        lines.append(
            _TieOut(
                what=f"Billed of carrier invoices = billed in the KPIs{of}",
                left_label="billed",
                left=of_bills("Billed"),
                left_value=sum((row.billed_amount for row in mine_bills), ZERO),
                right_label="billed, by carrier",
                right=f"SUMIFS({kpis['Billed']},{kpis['Currency']},{criterion(currency)})",
                right_value=sum((row.billed_amount for row in figures.kpis if row.currency == currency), ZERO),
                sheet="Settlement KPIs",
            )
        )
        paid_value = sum((row.paid_amount for row in mine_bills), ZERO)
        lines.append(
            _TieOut(
                what=f"Paid of carrier invoices = paid of their charges{of}",
                left_label="paid, by invoice",
                left=of_bills("Paid"),
                left_value=paid_value,
                right_label="paid, by charge",
                right=f"SUMIFS({match['Paid']},{match['Currency']},{criterion(currency)})",
                right_value=sum((row.paid_amount for row in figures.matches if row.currency == currency), ZERO),
                sheet="Matches and variances",
            )
        )
        payable, payable_value = balance(PAYABLE, currency, "Our")
        lines.append(
            _TieOut(
                what=f"Paid of carrier invoices = payables posted, account {PAYABLE}{of}",
                left_label="paid",
                left=of_bills("Paid"),
                left_value=paid_value,
                right_label=f"our ledger {PAYABLE}",
                right=payable,
                right_value=payable_value,
                sheet="Carrier invoices",
            )
        )
        closing_formula = f"SUMIFS({roll['Closing']},{roll['Currency']},{criterion(currency)})"
        closing = sum(
            (
                row.opening + row.accrued - row.reversed + row.adjusted
                for row in figures.roll_forward
                if row.currency == currency
            ),
            ZERO,
        )
        accrued, accrued_value = balance(ACCRUED, currency, "Our")
        lines.append(
            _TieOut(
                what=f"Accrual roll-forward = our ledger, account {ACCRUED}{of}",
                left_label="closing",
                left=closing_formula,
                left_value=closing,
                right_label=f"our ledger {ACCRUED}",
                right=accrued,
                right_value=accrued_value,
                sheet="Accrual roll-forward",
            )
        )
        lines.append(
            _TieOut(
                what=f"Accrual roll-forward = open accruals by shipment{of}",
                left_label="closing",
                left=closing_formula,
                left_value=closing,
                right_label="open by shipment",
                right=f"SUMIFS({open_['Amount']},{open_['Currency']},{criterion(currency)})",
                right_value=sum(
                    (row.accrued - row.reversed + row.adjusted for row in figures.accruals if row.currency == currency),
                    ZERO,
                ),
                sheet="Accruals by shipment",
            )
        )
        billed = sum(
            (
                (row.amount if row.debit_account == RECEIVABLE else ZERO)
                - (row.amount if row.credit_account == RECEIVABLE else ZERO)
                for row in figures.postings
                if row.currency == currency
            ),
            ZERO,
        )
        amount, where = postings["Amount"], f"{postings['Currency']},{criterion(currency)}"
        receivable, receivable_value = balance(RECEIVABLE, currency, "Our")
        lines.append(
            _TieOut(
                what=f"Customer invoices posted = our ledger, account {RECEIVABLE}{of}",
                left_label="postings",
                left=f'SUMIFS({amount},{postings["Debit"]},"{RECEIVABLE}",{where})'
                f'-SUMIFS({amount},{postings["Credit"]},"{RECEIVABLE}",{where})',
                left_value=billed,
                right_label=f"our ledger {RECEIVABLE}",
                right=f"-({receivable})",
                right_value=-receivable_value,
                sheet="Postings",
            )
        )
        here = f"{book['Currency']},{criterion(currency)}"
        mine = [line for line in ledger if line.currency == currency]
        lines.append(
            _TieOut(
                what=f"Debits = credits in our ledger{of}",
                left_label="debits",
                left=f"SUMIFS({book['OurDebit']},{here})",
                left_value=sum((line.our_debit for line in mine), ZERO),
                right_label="credits",
                right=f"SUMIFS({book['OurCredit']},{here})",
                right_value=sum((line.our_credit for line in mine), ZERO),
                sheet="Ledger vs ERP",
            )
        )
        for account, label in ((ACCRUED, "Accrued freight"), (PAYABLE, "Payables"), (RECEIVABLE, "Receivables")):
            ours, ours_value = balance(account, currency, "Our")
            theirs, theirs_value = balance(account, currency, "Erp")
            sign = -1 if account == RECEIVABLE else 1
            lines.append(
                _TieOut(
                    what=f"{label}, account {account}: ours = the ERP's{of}",
                    left_label="our ledger",
                    left=f"-({ours})" if sign < 0 else ours,
                    left_value=ours_value * sign,
                    right_label="ERP trial balance",
                    right=f"-({theirs})" if sign < 0 else theirs,
                    right_value=theirs_value * sign,
                    sheet="Ledger vs ERP",
                )
            )
    lines.append(
        _TieOut(
            what="All accounts: debits and credits that differ from the ERP's",
            left_label="sum of differences",
            left=f"SUM({book['Difference']})",
            left_value=sum((line.off for line in ledger), ZERO),
            right_label="must be none",
            right="0",
            right_value=ZERO,
            sheet="Ledger vs ERP",
        )
    )
    return lines


def _summary(
    book: xlsxwriter.Workbook,
    sheet: Worksheet,
    look: Look,
    figures: Figures,
    tie_outs: Sequence[_TieOut],
    names: Mapping[str, Mapping[str, str]],
) -> None:
    """Lays the first sheet: banner, tie-outs, what needs a person, key figures."""
    sheet.hide_gridlines(2)
    sheet.set_tab_color(NAVY)
    for column, width in enumerate((2, 50, 21, 15, 31, 15, 12, 14, 22)):
        sheet.set_column(column, column, width)
    sheet.set_row(0, 30)
    sheet.write_string(0, 1, f"Freight reconciliation · {figures.business_on:%A %-d %B %Y}", look.title)
    sheet.write_string(1, 1, figures.company or "All companies", look.subtitle)
    sheet.write_string(2, 1, f"As of {_utc(figures.as_of)} · times in UTC", look.subtitle)

    heading = 6
    first = heading + 1
    last = first + len(tie_outs) - 1
    status = f"$H${first + 1}:$H${last + 1}"
    off = sum(1 for line in tie_outs if line.difference != 0)
    banner = look.get(bold=True, font_size=13, align="left", indent=1, border=1, border_color="#FFFFFF")
    sheet.merge_range(4, 1, 4, 8, "", banner)
    sheet.set_row(4, 28)
    sheet.write_formula(
        4,
        1,
        f'=IF(COUNTIF({status},"DIFFERENCE")=0,"Everything ties out: all "&ROWS({status})&" lines are 0.00",'
        f'COUNTIF({status},"DIFFERENCE")&" of "&ROWS({status})&" lines do not tie out: see DIFFERENCE below")',
        banner,
        f"Everything ties out: all {len(tie_outs)} lines are 0.00"
        if off == 0
        else f"{off} of {len(tie_outs)} lines do not tie out: see DIFFERENCE below",
    )
    book.define_name("Differences", f'=COUNTIF(Summary!{status},"DIFFERENCE")')
    sheet.conditional_format(
        4, 1, 4, 8, {"type": "formula", "criteria": f'=COUNTIF({status},"DIFFERENCE")=0', "format": look.good}
    )
    sheet.conditional_format(
        4, 1, 4, 8, {"type": "formula", "criteria": f'=COUNTIF({status},"DIFFERENCE")>0', "format": look.bad}
    )

    titles = ("Must be 0.00", "This", "", "against this", "", "Difference", "Status", "See")
    for column, title in enumerate(titles, start=1):
        form = look.heading_right if column in (3, 5, 6) else look.heading_center if column == 7 else look.heading
        sheet.write_string(heading, column, title, form)
    sheet.set_row(heading, 20)
    for row, line in enumerate(tie_outs, start=first):
        sheet.set_row(row, 17)
        kind = "money" if line.money else "count"
        # a tie-out shows its zero: a dash could be taken for "not calculated"
        form = look.get(
            num_format="#,##0.00;-#,##0.00" if line.money else "#,##0;-#,##0", align="right", bottom=1,
            bottom_color="#D5DBE3",
        )  # fmt: skip
        put_text(sheet, look, row, 1, line.what)
        sheet.write_string(row, 2, line.left_label, look.cell("text", font_color="#5B6776"))
        sheet.write_formula(row, 3, f"={line.left}", look.cell(kind), float(line.left_value))  # type: ignore[arg-type]
        sheet.write_string(row, 4, line.right_label, look.cell("text", font_color="#5B6776"))
        sheet.write_formula(row, 5, f"={line.right}", look.cell(kind), float(line.right_value))  # type: ignore[arg-type]
        sheet.write_formula(row, 6, f"=ROUND({cell(row, 3)}-{cell(row, 5)},2)", form, float(round(line.difference, 2)))
        sheet.write_formula(
            row,
            7,
            f'=IF({cell(row, 6)}=0,"OK","DIFFERENCE")',
            look.cell("text", align="center", indent=0, bold=True),
            "OK" if line.difference == 0 else "DIFFERENCE",
        )
        sheet.write_url(
            row, 8, f"internal:'{line.sheet}'!A1", look.cell("text", font_color="#1F5FA8", underline=1), line.sheet
        )
    for word, form in (("OK", look.good), ("DIFFERENCE", look.bad)):
        sheet.conditional_format(
            first, 7, last, 7, {"type": "cell", "criteria": "==", "value": f'"{word}"', "format": form}
        )
    sheet.freeze_panes(heading + 1, 0)

    at = last + 2
    at = _needs_a_person(sheet, look, figures, names, at)
    _key_figures(sheet, look, figures, names, at + 1)


def _needs_a_person(
    sheet: Worksheet, look: Look, figures: Figures, names: Mapping[str, Mapping[str, str]], at: int
) -> int:
    """Counts and money of what waits, by reason. Returns the row after the block."""
    sheet.merge_range(at, 1, at, 8, "What waits for a person", look.section)
    at += 1
    for column, title in enumerate(("Reason", "Where", "Count", "", "Amount", "", "", "See"), start=1):
        sheet.write_string(at, column, title, look.heading_right if column in (3, 5) else look.heading)
    at += 1
    exceptions, unbilled, quarantine = names["exceptions"], names["not_billed"], names["quarantine"]
    rows: list[tuple[str, str, str, int, str | None, Decimal, str]] = []
    for verdict, count in sorted(Counter(row.verdict for row in figures.exceptions).items()):
        rows.append(
            (
                WORDS.get(verdict, verdict),
                "carrier invoices",
                f"COUNTIFS({exceptions['Verdict']},{criterion(verdict)})",
                count,
                f"SUMIFS({exceptions['Amount']},{exceptions['Verdict']},{criterion(verdict)})",
                sum((row.net_amount for row in figures.exceptions if row.verdict == verdict), ZERO),
                "Exceptions",
            )
        )
    for reasons, count in sorted(Counter(row.reasons for row in figures.not_billed).items()):
        rows.append(
            (
                "; ".join(WORDS.get(reason.strip(), reason.strip()) for reason in reasons.split(",")),
                "delivered, not billed",
                f"COUNTIFS({unbilled['Reasons']},{criterion(reasons)})",
                count,
                f"SUMIFS({unbilled['Amount']},{unbilled['Reasons']},{criterion(reasons)})",
                sum((row.amount or ZERO for row in figures.not_billed if row.reasons == reasons), ZERO),
                "Delivered not billed",
            )
        )
    waiting = [row for row in figures.quarantine if row.released_at is None]
    for reasons, count in sorted(Counter(", ".join(row.reasons) for row in waiting).items()):
        rows.append(
            (
                _words(reasons),
                "quarantine",
                f'COUNTIFS({quarantine["Reasons"]},{criterion(reasons)},{quarantine["Released"]},"")',
                count,
                f"SUMIFS({quarantine['Amount']},{quarantine['Reasons']},{criterion(reasons)},"
                f'{quarantine["Released"]},"")',
                sum((row.amount or ZERO for row in waiting if ", ".join(row.reasons) == reasons), ZERO),
                "Quarantine",
            )
        )
    for state, count in sorted(Counter(row.state for row in figures.advices).items()):
        rows.append(
            (
                f"Advice to a carrier: {settlement.ADVICE_STATES.get(state, state)}",
                "advices",
                f"COUNTIFS({names['advices']['State']},{criterion(state)})",
                count,
                None,
                ZERO,
                "Advices",
            )
        )
    on_the_way = [row for row in figures.postings if row.outcome != "accepted"]
    if on_the_way:
        outcome = names["postings"]["Outcome"]
        rows.append(
            (
                "Posted here, not accepted by the ERP yet",
                "postings",
                f'COUNTIFS({outcome},"<>accepted")',
                len(on_the_way),
                f'SUMIFS({names["postings"]["Amount"]},{outcome},"<>accepted")',
                sum((row.amount for row in on_the_way), ZERO),
                "Postings",
            )
        )
    for label, where, count_formula, counted, amount_formula, amount, target in rows:
        sheet.set_row(at, 17)
        put_text(sheet, look, at, 1, label)
        put_text(sheet, look, at, 2, where)
        sheet.write_formula(at, 3, f"={count_formula}", look.cell("count"), counted)
        sheet.write_blank(at, 4, None, look.cell("text"))
        if amount_formula is None:
            sheet.write_blank(at, 5, None, look.cell("text"))
        else:
            sheet.write_formula(at, 5, f"={amount_formula}", look.cell("money"), float(amount))
        sheet.write_blank(at, 6, None, look.cell("text"))
        sheet.write_blank(at, 7, None, look.cell("text"))
        sheet.write_url(at, 8, f"internal:'{target}'!A1", look.cell("text", font_color="#1F5FA8", underline=1), target)
        at += 1
    if not rows:
        sheet.write_string(at, 1, "Nothing waits for anybody.", look.get(italic=True))
        at += 1
    return at


def _key_figures(
    sheet: Worksheet, look: Look, figures: Figures, names: Mapping[str, Mapping[str, str]], at: int
) -> None:
    roll, bills, postings = names["roll"], names["bills"], names["postings"]
    sheet.merge_range(at, 1, at, 8, "The day in figures", look.section)
    money = [
        ("Freight accrued", f"SUM({roll['Accrued']})", sum((row.accrued for row in figures.roll_forward), ZERO)),
        ("Accruals reversed", f"SUM({roll['Reversed']})", sum((row.reversed for row in figures.roll_forward), ZERO)),
        (
            "Accruals open",
            f"SUM({roll['Closing']})",
            sum((r.opening + r.accrued - r.reversed + r.adjusted for r in figures.roll_forward), ZERO),
        ),
        (
            "Carrier invoices paid",
            f"SUM({bills['Paid']})",
            sum((row.paid_amount for row in figures.invoices), ZERO),
        ),
        (
            "Carrier invoices disputed",
            f"SUM({bills['Disputed']})",
            sum((row.disputed_amount for row in figures.invoices), ZERO),
        ),
        (
            "Billed to customers",
            f'SUMIFS({postings["Amount"]},{postings["Document"]},"customer_invoice",{postings["Debit"]},"{RECEIVABLE}")',
            sum(
                (
                    row.amount
                    for row in figures.postings
                    if row.document_type == "customer_invoice" and row.debit_account == RECEIVABLE
                ),
                ZERO,
            ),
        ),
    ]
    for offset, (label, formula, value) in enumerate(money, start=1):
        put_text(sheet, look, at + offset, 1, label)
        sheet.write_blank(at + offset, 2, None, look.cell("text"))
        sheet.write_formula(at + offset, 3, f"={formula}", look.cell("money"), float(value))
    rates = _rates(figures, names["kpis"])
    for offset, (label, formula, share) in enumerate(rates, start=len(money) + 1):
        put_text(sheet, look, at + offset, 1, label)
        sheet.write_blank(at + offset, 2, None, look.cell("text"))
        sheet.write_formula(at + offset, 3, f"={formula}", look.cell("percent"), "" if share is None else float(share))
        sheet.write_url(
            at + offset,
            8,
            "internal:'Settlement KPIs'!A1",
            look.cell("text", font_color="#1F5FA8", underline=1),
            "Settlement KPIs",
        )
    if len({row.currency for row in figures.ledger}) > 1:
        sheet.write_string(
            at + len(money) + len(rates) + 1,
            1,
            "Sums over several currencies: filter the sheets by currency.",
            look.subtitle,
        )


def _rates(figures: Figures, kpis: Mapping[str, str]) -> list[tuple[str, str, Decimal | None]]:
    """Shares of all carriers' bills: label, formula, and what it comes to."""
    bills = sum(row.bills for row in figures.kpis)
    shares = (
        ("Bills settled at first pass", "FirstPass", sum(row.first_pass_bills for row in figures.kpis)),
        ("Bills matched with a shipment", "Matched", sum(row.matched_bills for row in figures.kpis)),
        ("Bills that are exceptions", "Exceptions", sum(row.exception_bills for row in figures.kpis)),
        ("Bills billed before", "Duplicates", sum(row.duplicate_bills for row in figures.kpis)),
    )
    return [
        (
            label,
            f'IF(SUM({kpis["Bills"]})=0,"",SUM({kpis[key]})/SUM({kpis["Bills"]}))',
            settlement.ratio(count, bills),
        )
        for label, key, count in shares
    ]


def _rule(rule_id: str | None, version: str | None) -> str | None:
    if rule_id is None:
        return None
    return f"{rule_id} v{version}" if version else rule_id


def _words(reasons: str) -> str:
    """unknown_ship_to, negative_quantity → Unknown ship to; negative quantity."""
    text = "; ".join(part.strip().replace("_", " ") for part in reasons.split(","))
    return text[:1].upper() + text[1:]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
