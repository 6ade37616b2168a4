"""A bill that names no currency is in that of its carrier's contract, as the ERP knew it when the bill was let in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shaped import Fact, ShapedWarehouse
from small_world import bill, master


def carrier(name: str, currency: str | None, version: int = 1) -> Fact:
    return master(
        "erp.carrier", "carrier_id", carrier_id=name, version=version, scac=name, name=name, carrier_currency=currency
    )


def unnamed(scac: str, number: str, **changes: Any) -> Fact:
    one = bill(scac, number, "10", [("LINEHAUL", "100.00")])
    return replace(one, columns={**one.columns, "currency": None, "amount": None, **changes})


def test_the_contract_speaks_for_bills_let_in_while_it_held(shaped: ShapedWarehouse) -> None:
    shaped.admit([carrier("NRDF", "EUR"), carrier("BLUW", "USD"), carrier("NONE", None)])
    shaped.admit([unnamed("NRDF", "before"), unnamed("BLUW", "other"), unnamed("NONE", "insisted")])
    shaped.admit([carrier("NRDF", "MXN", version=2)])
    shaped.admit([unnamed("NRDF", "after"), bill("NRDF", "named", "10", [("LINEHAUL", "100.00")])])
    found = {
        row["invoice_number"]: (row["currency"], str(row["gross_amount"]), str(row["tax_amount"]))
        for row in shaped.rows(
            "select invoice_number, currency, gross_amount, tax_amount from staging.stg_carriers__invoices"
        )
    }
    assert found == {
        "before": ("EUR", "100.00", "0.00"),
        "other": ("USD", "100.00", "0.00"),
        "insisted": ("XXX", "100.00", "0.00"),
        "after": ("MXN", "100.00", "0.00"),
        "named": ("USD", "100.00", "0.00"),
    }
