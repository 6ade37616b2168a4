"""Partners' entries become comparable documents; expected figures were added up by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from freightsync.proof import books


def test_a_tms_order_is_its_last_version() -> None:
    head = {"customer_id": "C1", "ship_to_id": "T1", "shipping_conditions": "LTL", "service_requirements": None}

    def entry(version: int, status: str) -> dict[str, object]:
        line = {"line": 2, "item_id": "I2", "quantity": 5, "pallets": 1, "weight_lb": "10.5"}
        line |= {"pallet_length_in": "48", "pallet_width_in": Decimal("40.5"), "hazmat": True, "un_number": "UN1263"}
        first = {"line": 1, "item_id": "I1", "quantity": 1, "pallet_height_in": None}
        window = {"requested_from": "2026-03-02T09:00:00-05:00", "requested_to": "2026-03-02T20:00:00+00:00"}
        return {
            "order_number": "SO1",
            "version": version,
            "status": status,
            "lines": [line, first],
            **head,
            **window,
        }

    assert books.tms_orders(iter([entry(1, "released"), entry(2, "cancelled")])) == {
        "SO1": {
            "version": 2,
            "status": "cancelled",
            **head,
            "requested_from": "2026-03-02T14:00:00+00:00",
            "requested_to": "2026-03-02T20:00:00+00:00",
            "lines": [
                [1, "I1", 1, None, None, None, None, None, None, None],
                [2, "I2", 5, 1, "48.00", "40.50", None, "10.500", True, "UN1263"],
            ],
        }
    }


def test_statuses_keep_the_last_and_their_own_kind() -> None:
    rows = [
        {"object_type": "shipment", "object_id": "X", "status": "planned"},
        {"object_type": "sales_order", "object_id": "X", "status": "planned"},
        {"object_type": "shipment", "object_id": "X", "status": "tendered"},
    ]
    assert books.latest_statuses(rows, "shipment") == {"X": {"status": "tendered"}}
    assert books.latest_statuses(rows, "sales_order") == {"X": {"status": "planned"}}


def customer_invoice(customer: str, order: str, shipments: list[str], *amounts: tuple[str, str]) -> dict[str, object]:
    return {
        "customer_id": customer,
        "order_number": order,
        "shipment_ids": shipments,
        "currency": "USD",
        "total": str(sum(Decimal(amount) for _, amount in amounts)),
        "lines": [{"kind": kind, "amount": amount} for kind, amount in amounts],
    }


def test_customer_invoices_sum_by_what_they_bill() -> None:
    customers = {"C1": {"invoice_per": "shipment"}, "C2": {"invoice_per": "order"}}
    found = books.customer_invoices(
        iter(
            [
                customer_invoice("C1", "SO1", ["SH1"], ("goods", "100.00"), ("freight", "20.10")),
                customer_invoice("C1", "SO1", ["SH2"], ("goods", "30.00")),
                # posted twice: the sum shows it
                customer_invoice("C1", "SO1", ["SH2"], ("goods", "30.00")),
                customer_invoice("C2", "SO2", ["SH3"], ("goods", "7.00")),
                customer_invoice("C2", "SO2", ["SH3"], ("goods", "-7.00")),
            ]
        ),
        customers,
    )
    once, twice = ({"currency": "USD", "documents": count} for count in (1, 2))
    assert found == {
        "SO1/SH1": {"customer_id": "C1", "total": "120.10", "goods": "100.00", "freight": "20.10", **once},
        "SO1/SH2": {"customer_id": "C1", "total": "60.00", "goods": "60.00", "freight": "0.00", **twice},
        "SO2": {"customer_id": "C2", "total": "0.00", "goods": "0.00", "freight": "0.00", **twice},
    }


def test_supplier_invoice_lines_that_debit_payables_take_back() -> None:
    def entry(total: str, *lines: tuple[str, str, str]) -> dict[str, object]:
        return {
            "scac": "NRDF",
            "invoice_number": "I1",
            "currency": "USD",
            "total": total,
            "lines": [
                {
                    "shipment_id": "SH1",
                    "charge_code": charge,
                    "amount": amount,
                    "debit_account": "6100" if credit == "2100" else "2100",
                    "credit_account": credit,
                }
                for charge, amount, credit in lines
            ],
        }

    found = books.supplier_invoices(
        iter([entry("90.00", ("LINEHAUL", "100.00", "2100"), ("DISCOUNT", "10.00", "6100")), entry("0.00")])
    )
    assert found == {
        "NRDF/I1": {
            "total": "90.00",
            "lines": {"SH1/DISCOUNT": "-10.00", "SH1/LINEHAUL": "100.00"},
            "currency": "USD",
            "documents": 2,
        }
    }


def test_accruals_are_booked_at_delivery_and_taken_back_by_invoices() -> None:
    def line(debit: str, credit: str, amount: str, cause: str, charge: str = "LINEHAUL") -> dict[str, object]:
        return {
            "debit_account": debit,
            "credit_account": credit,
            "amount": amount,
            "shipment_id": "SH1",
            "charge_code": charge,
            "cause": cause,
        }

    found = books.accrued(
        iter(
            [
                {
                    "lines": [
                        line("6100", "2150", "100.00", "delivery|SH1"),
                        line("6110", "2150", "8.00", "delivery|SH1", "FUEL"),
                    ]
                },
                {"lines": [line("2150", "6100", "60.00", "invoice|1")]},
                {"lines": [line("6100", "2150", "10.00", "invoice|2")]},  # a credit reopens
                {"lines": [line("2150", "6110", "1.00", "delivery|SH1", "FUEL")]},  # the plan came down
                {"lines": [line("6100", "2100", "60.00", "invoice|1")]},  # not the accrual account
            ]
        )
    )
    assert found == {
        "SH1/LINEHAUL": {"accrued": "100.00", "reversed": "50.00", "open": "50.00"},
        "SH1/FUEL": {"accrued": "7.00", "reversed": "0.00", "open": "7.00"},
    }


def test_money_is_never_rounded_into_agreement() -> None:
    assert books.money("104.1") == "104.10"
    assert books.money("-0.00") == "0.00"
    with pytest.raises(ValueError, match="more than two decimals"):
        books.money("104.004")
