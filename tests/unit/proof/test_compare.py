"""The comparison has teeth: every kind of difference is found, in both directions, and nothing else is."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from freightsync.proof.compare import Mismatch, compare

TRUTH: dict[str, Any] = {
    "documents": {
        "tms.order": {"SO1": {"version": 2, "status": "released", "lines": [[1, 4, "48.00", "40.00", None]]}},
        "erp.supplier_invoice": {
            "NRDF/INV1": {"total": "104.00", "lines": {"SH1/LINEHAUL": "100.00", "SH1/FUEL": "4.00"}},
            "NRDF/INV2": {"total": "60.00", "lines": {"SH2/LINEHAUL": "60.00"}},
        },
        "ours.hold": {},
    },
    "control_totals": {"erp.sales_order": {"received": 3, "accepted": 2, "received_amount": "900.00"}},
}


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    copied = copy.deepcopy(TRUTH)
    change(copied)
    return copied


def test_equal_sides_are_clean_and_everything_was_compared() -> None:
    result = compare(TRUTH, copy.deepcopy(TRUTH))
    assert result.clean
    assert result.compared == {"tms.order": 1, "erp.supplier_invoice": 2, "ours.hold": 0}
    assert result.control_totals_compared == 1


INVOICES = "erp.supplier_invoice"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda side: side["documents"][INVOICES]["NRDF/INV1"].update(total="104.01"),
            Mismatch(INVOICES, "NRDF/INV1", "differs", "total", "'104.00'", "'104.01'"),
            id="a cent in a total",
        ),
        pytest.param(
            lambda side: side["documents"][INVOICES]["NRDF/INV1"]["lines"].update({"SH1/FUEL": "4.01"}),
            Mismatch(INVOICES, "NRDF/INV1", "differs", "lines.SH1/FUEL", "'4.00'", "'4.01'"),
            id="a cent in a line",
        ),
        pytest.param(
            lambda side: side["documents"][INVOICES]["NRDF/INV1"]["lines"].update({"SH9/FUEL": "0.00"}),
            Mismatch(INVOICES, "NRDF/INV1", "differs", "lines.SH9/FUEL", "(missing)", "'0.00'"),
            id="a line too many",
        ),
        pytest.param(
            lambda side: side["documents"][INVOICES]["NRDF/INV1"]["lines"].pop("SH1/FUEL"),
            Mismatch(INVOICES, "NRDF/INV1", "differs", "lines.SH1/FUEL", "'4.00'", "(missing)"),
            id="a line too few",
        ),
        pytest.param(
            lambda side: side["documents"][INVOICES].pop("NRDF/INV2"),
            Mismatch(INVOICES, "NRDF/INV2", "missing", expected="{total: '60.00', lines: {SH2/LINEHAUL: '60.00'}}"),
            id="a document missing",
        ),
        pytest.param(
            lambda side: side["documents"]["ours.hold"].update(SH7={"reasons": ["no_plan"]}),
            Mismatch("ours.hold", "SH7", "unexpected", actual="{reasons: ['no_plan']}"),
            id="a document too many",
        ),
        pytest.param(
            lambda side: side["documents"].update({"erp.made_up": {"X": {"a": "1"}}}),
            Mismatch("erp.made_up", "X", "unexpected", actual="{a: '1'}"),
            id="a type that the truth doesn't know",
        ),
        pytest.param(
            lambda side: side["documents"].pop("tms.order"),
            Mismatch(
                "tms.order",
                "SO1",
                "missing",
                expected="{version: 2, status: 'released', lines: [[1, 4, '48.00', '40.00', None]]}",
            ),
            id="a whole type missing",
        ),
        pytest.param(
            lambda side: side["documents"]["tms.order"]["SO1"].update(version="2"),
            Mismatch("tms.order", "SO1", "differs", "version", "2", "'2'"),
            id="a number as text",
        ),
        pytest.param(
            lambda side: side["documents"]["tms.order"]["SO1"].update(lines=[[1, 4, "48.00", "40.00", "40.00"]]),
            Mismatch(
                "tms.order",
                "SO1",
                "differs",
                "lines",
                "[[1, 4, '48.00', '40.00', None]]",
                "[[1, 4, '48.00', '40.00', '40.00']]",
            ),
            id="a value inside a list",
        ),
        pytest.param(
            lambda side: side["control_totals"]["erp.sales_order"].update(accepted=3),
            Mismatch("control_totals", "erp.sales_order", "differs", "accepted", "2", "3"),
            id="a control total",
        ),
        pytest.param(
            lambda side: side["control_totals"].update({"driver.pod": {"received": 1}}),
            Mismatch("control_totals", "driver.pod", "unexpected", actual="{received: 1}"),
            id="a feed that the truth doesn't know",
        ),
    ],
)
def test_each_kind_of_difference_is_found(change: Callable[[dict[str, Any]], object], expected: Mismatch) -> None:
    result = compare(TRUTH, changed(change))
    assert list(result.mismatches) == [expected]
    assert not result.clean
    assert str(expected.key) in str(expected)


@pytest.mark.parametrize("place", ["truth", "outcome"])
def test_a_float_is_refused_on_either_side(place: str) -> None:
    broken = changed(lambda side: side["documents"]["tms.order"]["SO1"].update(lines=[[1, 4, 48.0, "40.00", None]]))
    with pytest.raises(TypeError, match=f"of the {place}.*float"):
        compare(broken if place == "truth" else TRUTH, broken if place == "outcome" else TRUTH)


def test_nothing_compared_is_not_clean() -> None:
    empty: dict[str, Any] = {"documents": {}, "control_totals": {}}
    assert not compare(empty, empty).clean


def test_a_side_without_documents_is_an_error() -> None:
    with pytest.raises(KeyError):
        compare(TRUTH, {})
