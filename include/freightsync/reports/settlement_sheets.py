"""The workbook's sheets on how settlement goes: KPIs of carriers and of customers, disputes with their clocks, advices
that carriers have not taken, accrual accuracy, and the ledger's tie-out with what explains it. What another sheet lists
is counted from that sheet, live."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from freightsync.reports.figures import (
    AccrualAccuracy,
    CustomerKpi,
    Dispute,
    Figures,
    LedgerDrift,
    LedgerTieOut,
    OpenAdvice,
    SettlementKpi,
)
from freightsync.reports.sheets import Column, Table

MODES = {"hold": "held", "short_pay": "paid short", "pay_and_claim": "paid and claimed back"}


def ratio(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    return Decimal(part) / Decimal(whole) if whole else None


def accuracy_column(title: str, missed: str, approved: str) -> Column[Any]:
    """1 − missed / approved of rows that have both; `missed` and `approved`: titles of their columns."""

    def accuracy(row: SettlementKpi | AccrualAccuracy) -> Decimal | None:
        share = ratio(row.missed_amount, abs(row.invoiced_amount))
        return None if share is None else 1 - share

    return Column(title, 10, accuracy, "percent", formula=f'=IF(N([{approved}])=0,"",1-[{missed}]/ABS([{approved}]))')


def _rate(part: str, whole: str) -> str:
    return f'=IF(N([{whole}])=0,"",[{part}]/[{whole}])'


def kpi_table(figures: Figures) -> Table[SettlementKpi]:
    def of(sheet: str) -> str:
        return f"{sheet}_Carrier,[Carrier],{sheet}_Currency,[Currency]"

    return Table(
        name="Settlement KPIs",
        title="How settlement goes, by carrier",
        subtitle="Each rate beside what it is made of. First pass: settled without a word of ours. Resolution: days "
        "from receipt to the word that decided. Kept: duplicate bills and charges billed twice. Given away: paid over "
        "plan within tolerance.",
        prefix="Kpi",
        columns=[
            Column("Carrier", 12, lambda row: row.scac, key="Carrier"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column(
                "Bills", 9, lambda row: row.bills, "count", formula=f"=COUNTIFS({of('Bill')})", total=True, key="Bills"
            ),
            Column(
                "Billed",
                15,
                lambda row: row.billed_amount,
                "money",
                formula=f"=SUMIFS(Bill_Billed,{of('Bill')})",
                total=True,
                key="Billed",
            ),
            Column("Matched", 10, lambda row: row.matched_bills, "count", total=True, key="Matched"),
            Column(
                "Match rate",
                10,
                lambda row: ratio(row.matched_bills, row.bills),
                "percent",
                formula=_rate("Matched", "Bills"),
            ),
            Column("First pass", 10, lambda row: row.first_pass_bills, "count", total=True, key="FirstPass"),
            Column(
                "First-pass rate",
                10,
                lambda row: ratio(row.first_pass_bills, row.bills),
                "percent",
                formula=_rate("First pass", "Bills"),
            ),
            Column(
                "Exceptions",
                11,
                lambda row: row.exception_bills,
                "count",
                formula=f"=COUNTIFS({of('Exception')})",
                total=True,
                key="Exceptions",
            ),
            Column(
                "Exception rate",
                11,
                lambda row: ratio(row.exception_bills, row.bills),
                "percent",
                formula=_rate("Exceptions", "Bills"),
            ),
            Column(
                "Unmatched",
                11,
                lambda row: row.unmatched_bills,
                "count",
                formula=f'=SUM(COUNTIFS({of("Exception")},Exception_Verdict,"no_candidate"),'
                f'COUNTIFS({of("Exception")},Exception_Verdict,"several_candidates"))',
                total=True,
            ),
            Column("Decided by a word", 10, lambda row: row.decided_bills, "count", total=True),
            Column("Days until then", 10, lambda row: row.decided_days, "money", total=True),
            Column(
                "Resolution days",
                11,
                lambda row: ratio(row.decided_days, row.decided_bills),
                "money",
                formula=_rate("Days until then", "Decided by a word"),
            ),
            Column("Manual touches", 10, lambda row: row.manual_touches, "count", total=True, key="Touches"),
            Column(
                "Duplicates",
                11,
                lambda row: row.duplicate_bills,
                "count",
                formula=f'=SUM(COUNTIFS({of("Exception")},Exception_Verdict,"duplicate_number"),'
                f'COUNTIFS({of("Exception")},Exception_Verdict,"duplicate_move"))',
                total=True,
                key="Duplicates",
            ),
            Column(
                "Duplicate rate",
                10,
                lambda row: ratio(row.duplicate_bills, row.bills),
                "percent",
                formula=_rate("Duplicates", "Bills"),
            ),
            Column("Kept", 13, lambda row: row.duplicate_amount, "money", total=True, key="Kept"),
            Column("Given away", 13, lambda row: row.tolerance_amount, "money", total=True, key="GivenAway"),
            Column("Accessorials", 12, lambda row: row.accessorial_charges, "count", total=True),
            Column("of them exceptions", 11, lambda row: row.accessorial_exceptions, "count", total=True),
            Column(
                "Accessorial exception rate",
                12,
                lambda row: ratio(row.accessorial_exceptions, row.accessorial_charges),
                "percent",
                formula=_rate("of them exceptions", "Accessorials"),
            ),
            Column(
                "Disputes",
                10,
                lambda row: row.disputes,
                "count",
                formula=f"=COUNTIFS({of('Dispute')})",
                total=True,
            ),
            Column(
                "Open disputes",
                10,
                lambda row: row.open_disputes,
                "count",
                formula=f'=COUNTIFS({of("Dispute")},Dispute_State,"<>settled")',
                total=True,
                key="OpenDisputes",
            ),
            Column(
                "Their days",
                10,
                lambda row: row.open_dispute_days,
                "count",
                formula=f"=SUMIFS(Dispute_Age,{of('Dispute')})",
                total=True,
            ),
            Column(
                "Average age",
                10,
                lambda row: ratio(row.open_dispute_days, row.open_disputes),
                "money",
                formula=_rate("Their days", "Open disputes"),
            ),
            Column(
                "Disputed",
                13,
                lambda row: row.disputed_amount,
                "money",
                formula=f"=SUMIFS(Dispute_Disputed,{of('Dispute')})",
                total=True,
                key="Disputed",
            ),
            Column(
                "Claimed back",
                13,
                lambda row: row.claimed_amount,
                "money",
                formula=f"=SUMIFS(Dispute_Claimed,{of('Dispute')})",
                total=True,
            ),
            Column("Recovered", 13, lambda row: row.recovered_amount, "money", total=True, key="Recovered"),
            Column("Bills payable", 10, lambda row: row.payable_bills, "count", total=True),
            Column("Days from delivery", 10, lambda row: row.payable_days, "count", total=True),
            Column(
                "Days to payable",
                10,
                lambda row: ratio(row.payable_days, row.payable_bills),
                "money",
                formula=_rate("Days from delivery", "Bills payable"),
            ),
            Column(
                "Approved of accrued",
                14,
                lambda row: row.invoiced_amount,
                "money",
                formula=f"=SUMIFS(Accuracy_Approved,{of('Accuracy')})",
                total=True,
            ),
            Column(
                "Missed by",
                13,
                lambda row: row.missed_amount,
                "money",
                formula=f"=SUMIFS(Accuracy_Missed,{of('Accuracy')})",
                total=True,
            ),
            accuracy_column("Accrual accuracy", "Missed by", "Approved of accrued"),
        ],
        rows=figures.kpis,
        empty="No carrier invoice was judged.",
        currency=lambda row: row.currency,
        freeze_columns=2,
    )


def customer_kpi_table(figures: Figures) -> Table[CustomerKpi]:
    def outstanding(row: CustomerKpi) -> Decimal | None:
        share = ratio(row.month_open_amount, row.month_sales_amount)
        return None if share is None or row.month_sales_amount < 0 else share * row.days_in_month

    return Table(
        name="Customer KPIs",
        title="What customers owe and dispute",
        subtitle="Days sales outstanding: open at the end of the newest month / sales of that month × its days.",
        prefix="Customer",
        columns=[
            Column("Customer", 14, lambda row: row.customer_id),
            Column("Currency", 10, lambda row: row.currency or None, key="Currency"),
            Column("Invoices", 10, lambda row: row.invoices, "count", total=True),
            Column("Billed", 15, lambda row: row.billed_amount, "money", total=True),
            Column("Credited", 14, lambda row: row.credited_amount, "money", total=True),
            Column("Collected", 15, lambda row: row.collected_amount, "money", total=True),
            Column("Open", 15, lambda row: row.open_amount, "money", total=True, key="Open"),
            Column("Newest month", 13, lambda row: row.month_on, "date"),
            Column("Sales of it", 15, lambda row: row.month_sales_amount, "money", total=True, key="Sales"),
            Column("Open at its end", 15, lambda row: row.month_open_amount, "money", total=True, key="MonthOpen"),
            Column("Days", 8, lambda row: row.days_in_month, "count"),
            Column(
                "Days sales outstanding",
                13,
                outstanding,
                "money",
                formula='=IF(N([Sales of it])<=0,"",[Open at its end]/[Sales of it]*[Days])',
            ),
            Column("Disputes", 10, lambda row: row.disputes, "count", total=True),
            Column("Open disputes", 10, lambda row: row.open_disputes, "count", total=True),
            Column("Their days", 10, lambda row: row.open_dispute_days, "count", total=True),
            Column(
                "Average age",
                10,
                lambda row: ratio(row.open_dispute_days, row.open_disputes),
                "money",
                formula=_rate("Their days", "Open disputes"),
            ),
            Column("Disputed", 14, lambda row: row.disputed_amount, "money", total=True),
        ],
        rows=figures.customer_kpis,
        empty="No customer was billed.",
        currency=lambda row: row.currency,
    )


def dispute_table(figures: Figures) -> Table[Dispute]:
    return Table(
        name="Disputes",
        title="Disputes and claims, the nearest deadline first",
        subtitle="What carriers' bills contest, how old it is, and the clock that runs: first we contest, then the "
        "carrier acknowledges. Claimed = settled + still to come.",
        prefix="Dispute",
        columns=[
            Column("Invoice", 18, lambda row: row.invoice_number),
            Column("Carrier", 9, lambda row: row.scac, key="Carrier"),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("State", 13, lambda row: row.state, key="State"),
            Column("What does not fit is", 18, lambda row: MODES.get(row.dispute_mode, row.dispute_mode)),
            Column("Reason code", 20, lambda row: row.reason_code),
            Column("Billed on it", 14, lambda row: row.invoiced_amount, "money", total=True),
            Column("Disputed", 14, lambda row: row.disputed_amount, "money", total=True, key="Disputed"),
            Column("Claimed", 14, lambda row: row.claimed_amount, "money", total=True, key="Claimed"),
            Column("Claim settled", 14, lambda row: row.claim_settled_amount, "money", total=True),
            Column(
                "Still to come",
                14,
                lambda row: row.claimed_amount - row.claim_settled_amount,
                "money",
                formula="=[Claimed]-[Claim settled]",
                total=True,
                key="ToCome",
            ),
            Column("Opened (UTC)", 17, lambda row: row.opened_at, "time"),
            Column("Days", 8, lambda row: row.age_days, "count", key="Age"),
            Column("Next", 24, lambda row: row.next_step),
            Column("Until (UTC)", 17, lambda row: row.next_deadline_at, "time"),
            Column("Overdue", 10, lambda row: "OVERDUE" if row.is_overdue else "", key="Overdue"),
            Column("Why", 60, lambda row: row.reason, "wrapped"),
            Column("Bill", 16, lambda row: row.carrier_invoice_id),
        ],
        rows=figures.disputes,
        empty="Nothing is contested.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        tab="#B4610A",
        reds={"Overdue": '=[]="OVERDUE"'},
    )


def accuracy_table(figures: Figures) -> Table[AccrualAccuracy]:
    def variance(row: AccrualAccuracy) -> Decimal:
        return row.invoiced_amount - row.billed_accrued_amount

    return Table(
        name="Accrual accuracy",
        title="Accrued against invoiced",
        subtitle="By month, carrier, lane and charge. Missed: what accruals missed bills by, charge by charge; misses "
        "do not cancel. Accuracy: 1 − missed / approved.",
        prefix="Accuracy",
        columns=[
            Column("Month", 12, lambda row: row.month),
            Column("Carrier", 9, lambda row: row.scac, key="Carrier"),
            Column("From", 10, lambda row: row.origin_postal),
            Column("To", 10, lambda row: row.destination_postal),
            Column("Charge", 14, lambda row: row.charge_code),
            Column("Currency", 10, lambda row: row.currency, key="Currency"),
            Column("Charges", 10, lambda row: row.charges, "count", total=True),
            Column("of them billed", 10, lambda row: row.billed_charges, "count", total=True),
            Column("Accrued", 15, lambda row: row.accrued_amount, "money", total=True, key="Accrued"),
            Column("Not billed yet", 15, lambda row: row.unbilled_amount, "money", total=True),
            Column(
                "Accrued of what is billed",
                15,
                lambda row: row.accrued_amount - row.unbilled_amount,
                "money",
                formula="=[Accrued]-[Not billed yet]",
                total=True,
            ),
            Column("Approved", 15, lambda row: row.invoiced_amount, "money", total=True, key="Approved"),
            Column(
                "Variance",
                14,
                variance,
                "money",
                formula="=ROUND([Approved]-[Accrued of what is billed],2)",
                total=True,
            ),
            Column("Missed", 14, lambda row: row.missed_amount, "money", total=True, key="Missed"),
            accuracy_column("Accuracy", "Missed", "Approved"),
        ],
        rows=figures.accuracy,
        empty="Nothing was accrued.",
        currency=lambda row: row.currency,
        freeze_columns=2,
    )


ADVICE_STATES = {
    "contested": "the carrier says that it is wrong",
    "not_readable": "the carrier could not read it",
    "not_sent": "waits in the outbox",
    "unacknowledged": "no 997 speaks of it",
}


def advice_table(figures: Figures) -> Table[OpenAdvice]:
    return Table(
        name="Advices",
        title="Advices that carriers have not taken",
        subtitle="Our 824s on bills that the gate keeps back: who does not acknowledge one may not have got it. "
        "Nothing is sent again by itself.",
        prefix="Advice",
        columns=[
            Column("Partner", 12, lambda row: row.partner),
            Column("Document", 10, lambda row: row.set_id),
            Column("Control number", 14, lambda row: row.control_number, "count"),
            Column("Bill", 18, lambda row: row.invoice_number),
            Column("State", 16, lambda row: row.state, key="State"),
            Column("That is", 30, lambda row: ADVICE_STATES.get(row.state, row.state)),
            Column("Sent (UTC)", 17, lambda row: row.sent_at, "time"),
            Column("Answered (UTC)", 17, lambda row: row.answered_at, "time"),
            Column("Days", 8, lambda row: row.age_days, "count"),
            Column("What to do", 70, lambda row: row.reason, "wrapped"),
        ],
        rows=figures.advices,
        empty="Carriers took every advice.",
        tab="#B4610A",
        reds={"State": '=OR([]="contested",[]="not_readable")'},
    )


def tie_out_table(figures: Figures) -> Table[LedgerTieOut]:
    return Table(
        name="Ledger tie-out",
        title="Our ledger against the ERP's, by period, and what explains the difference",
        subtitle="As the ERP's books were last read, document by document: ERP − ours = explained + unexplained. The "
        "documents that explain it are on sheet Drift. not_read: the ERP was not asked about that period yet.",
        prefix="TieOut",
        columns=[
            Column("Period", 12, lambda row: row.period),
            Column("Account", 10, lambda row: row.account),
            Column("Currency", 10, lambda row: row.currency),
            Column("Our balance", 17, lambda row: row.our_balance, "money", total=True),
            Column("ERP balance", 17, lambda row: row.erp_balance, "money", total=True),
            Column(
                "Difference",
                15,
                lambda row: row.erp_balance - row.our_balance,
                "money",
                formula="=ROUND([ERP balance]-[Our balance],2)",
                total=True,
            ),
            Column("Explained", 15, lambda row: row.explained, "money", total=True),
            Column(
                "Unexplained",
                15,
                lambda row: row.erp_balance - row.our_balance - row.explained,
                "money",
                formula="=ROUND([Difference]-[Explained],2)",
                total=True,
            ),
            Column("Undecided documents", 13, lambda row: row.undecided_documents, "count"),
            Column("State", 14, lambda row: row.state),
        ],
        rows=figures.tie_out,
        empty="Neither we nor the ERP hold any posting.",
        currency=lambda row: row.currency,
        freeze_columns=2,
        reds={"State": '=OR([]="unexplained",[]="undecided")'},
    )


def drift_table(figures: Figures) -> Table[LedgerDrift]:
    return Table(
        name="Drift",
        title="Documents on which the ERP and we disagree",
        subtitle="What explains the ledger's tie-out: each with its reason and what to do.",
        prefix="Drift",
        columns=[
            Column("Document", 40, lambda row: row.document),
            Column("Period", 10, lambda row: row.period),
            Column("State", 13, lambda row: row.state),
            Column("Reason", 24, lambda row: row.reason),
            Column("Kind", 18, lambda row: row.document_type),
            Column("ERP number", 14, lambda row: row.entry_number),
            Column("Posted", 12, lambda row: row.posted_on, "date"),
            Column("Currency", 10, lambda row: row.currency),
            Column("Amount", 15, lambda row: row.amount, "money", total=True),
            Column("In words", 60, lambda row: row.words, "wrapped"),
            Column("What to do", 60, lambda row: row.what_to_do, "wrapped"),
        ],
        rows=figures.drift,
        empty="The ERP's books and ours agree, document by document.",
        currency=lambda row: row.currency,
        tab="#B4610A",
    )
