"""A small day of freight whose outcome is worked out by hand: every kind of thing that the models decide, once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from shaped import Fact, Touch

D = Decimal
ORIGIN, DESTINATION = "60601", "10001"


def master(feed: str, key: str, **columns: Any) -> Fact:
    table = feed.split(".")[1]
    name = columns[key]
    head = {"version": 1, "changed_at": "2026-03-01T00:00:00Z"}
    return Fact(feed, table, {**head, **columns}, [("sync_master_data", "master", f"{feed}:{name}")])


def charge(name: str, partner_code: str, code: str, account: str) -> Fact:
    return master(
        "erp.charge_code",
        "charge_code_id",
        charge_code_id=name,
        scac="*",
        partner_code=partner_code,
        charge_code=code,
        description=code,
        ledger_account=account,
        valid_from="2020-01-01",
    )


def exchange_rate(
    day: str, value: str, version: int = 1, source: str = "corporate", currency: str = "EUR", to_currency: str = "USD"
) -> Fact:
    """One unit of `currency` is so many of the other on a day, of March 2026 unless it names its month (04-30)."""
    on = f"2026-{day}" if "-" in day else f"2026-03-{day}"
    return master(
        "erp.exchange_rate",
        "exchange_rate_id",
        exchange_rate_id=f"{currency}-{to_currency}/{source}/{on}",
        version=version,
        from_currency=currency,
        to_currency=to_currency,
        rate=Decimal(value),
        source=source,
        rate_on=on,
    )


def customer(name: str, freight_billing: str, invoice_per: str, markup: str, **more: Any) -> Fact:
    terms = {"freight_billing": freight_billing, "invoice_per": invoice_per, "markup_percent": D(markup)}
    return master("erp.customer", "customer_id", customer_id=name, name=name, **terms, **more)


MASTERS = [
    customer("C1", "pass_through", "shipment", "10.00"),
    # agreed after every order was made: holds for later ones
    customer("C1", "pass_through", "shipment", "50.00", version=2, changed_at="2026-03-20T00:00:00Z"),
    customer("C2", "embedded", "order", "0.00"),
    master("erp.ship_to", "ship_to_id", ship_to_id="T1", customer_id="C1", name="T1", postal_code=DESTINATION),
    master(
        "erp.item",
        "item_id",
        item_id="I1",
        description="thing",
        pallet_length_in=D(48),
        pallet_width_in=D(40),
        pallet_height_in=D(50),
    ),
    charge("1", "400", "LINEHAUL", "6100"),
    charge("2", "FUE", "FUEL", "6110"),
    charge("3", "DET", "DETENTION", "6130"),
]


def order(
    number: str, customer_id: str, lines: list[tuple[int, str]], version: int = 1, status: str = "approved"
) -> Fact:
    columns = {
        "order_number": number,
        "version": version,
        "changed_at": f"2026-03-0{1 + version}T00:00:00Z",
        "status": status,
        "customer_id": customer_id,
        "ship_to_id": "T1",
        "currency": "USD",
        "lines": [
            {"line": n, "item_id": "I1", "quantity": quantity, "unit_price": price, "pallets": 1, "weight_lb": "1.000"}
            for n, (quantity, price) in enumerate(lines, 1)
        ],
    }
    return Fact("erp.sales_order", "sales_order", columns, [("release_orders", "order", f"erp:{number}")])


def to_shipment(number: str) -> list[Touch]:
    return [("ingest_shipment_events", "shipment", f"tms:{number}")]


def plan(
    number: str,
    scac: str,
    parts: list[tuple[str, int, int, str]],
    charges: dict[str, str],
    *,
    version: int = 1,
    bol: str = "",
    weight: str = "100.000",
    **more: Any,
) -> Fact:
    """parts: order, line, quantity, weight."""
    columns = {
        "shipment_id": number,
        "plan_version": version,
        "event_id": f"plan {number} {version}",
        "occurred_at": f"2026-03-0{3 + version}T00:00:00Z",
        "scac": scac,
        "pro_number": f"PRO{number}{version}",
        "bol_number": bol or f"BOL{number}",
        "booking_reference": f"BK{number}",
        "ship_on": "2026-03-08",
        "weight_lb": D(weight),
        "pieces": sum(quantity for _, _, quantity, _ in parts),
        "currency": "USD",
        "amount": sum(map(D, charges.values())),
        "order_lines": [
            {"order_number": o, "line": line, "quantity": quantity, "weight_lb": pounds}
            for o, line, quantity, pounds in parts
        ],
        "legs": [{"leg": 1, "from_stop": 1, "to_stop": 2}],
        "stops": [
            {"sequence": 1, "kind": "pickup", "postal_code": ORIGIN, "time_zone": "America/Chicago"},
            {"sequence": 2, "kind": "delivery", "postal_code": DESTINATION, "time_zone": "America/New_York"},
        ],
        "charges": [{"charge_code": code, "amount": amount} for code, amount in charges.items()],
        **more,
    }
    return Fact("tms.shipment_plan", "shipment_plan", columns, to_shipment(number))


def event(code_set: str, code: str, reference: str, at: str, *, kind: str = "shipment_id", **more: Any) -> Fact:
    feed = {"tms": "tms.shipment_event", "x12_214": "carrier.status_x12", "bluw": "carrier.status_webhook"}[code_set]
    columns = {
        "source": feed,
        "source_event_id": f"{code} {reference} {at}",
        "reference_kind": kind,
        "reference": reference,
        "code_set": code_set,
        "status_code": code,
        "occurred_at": f"2026-03-{at}:00:00Z",
        **more,
    }
    touches: list[Touch] = (
        to_shipment(reference)
        if kind == "shipment_id"
        else [("ingest_shipment_events", "reference", f"{kind}:{reference}")]
    )
    return Fact(feed, "status_event", columns, touches)


def tender(number: str, kind: str, at: str, tender_round: int = 1) -> Fact:
    return event("tms", kind, number, at, details={"round": tender_round})


def pod(number: str, pieces: int, at: str, signed_by: str | None = "J. Doe") -> Fact:
    columns = {
        "source_event_id": f"pod {number} {at}",
        "shipment_id": number,
        "stop_sequence": 2,
        "signed_by": signed_by,
        "captured_at": f"2026-03-{at}:00:00Z",
        "pieces_delivered": pieces,
        "osd": [],
    }
    touches = [*to_shipment(number), ("invoice_on_pod", "shipment", f"tms:{number}")]
    return Fact("driver.pod", "proof_of_delivery", columns, touches)


CODES = {"LINEHAUL": "400", "FUEL": "FUE", "DETENTION": "DET"}


def bill(
    scac: str,
    number: str,
    on: str,
    lines: list[tuple[str, str] | tuple[str, str, str]],
    *,
    correction: str = "",
    weight: str = "100.000",
    **references: str,
) -> Fact:
    """lines: charge, amount and, on a consolidated invoice, the shipment."""
    net = sum(D(line[1]) for line in lines)
    columns = {
        "source": "carrier.invoice_x12",
        "scac": scac,
        "invoice_number": number,
        "correction": correction,
        "invoice_on": f"2026-03-{on}",
        "ship_on": "2026-03-08",
        "origin_postal": ORIGIN,
        "destination_postal": DESTINATION,
        "weight_lb": D(weight),
        "currency": "USD",
        "amount": net,
        "net_amount": net,
        "lines_total": net,
        "line_count": len(lines),
        **references,
    }
    rows = [
        {
            "line": n,
            "partner_code": CODES[line[0]],
            "line_amount": D(line[1]),
            "shipment_reference": line[2] if len(line) > 2 else None,
        }
        for n, line in enumerate(lines, 1)
    ]
    touches = [("settle_freight", "carrier_invoice", f"{scac}:{{record}}")]
    return Fact("carrier.invoice_x12", "carrier_invoice", columns, touches, rows)


FACTS = [
    order("A", "C1", [(10, "5.00"), (4, "2.50")]),
    order("B", "C1", [(6, "10.00")]),
    order("C", "C2", [(8, "3.00")]),
    order("D", "C1", [(1, "9.00")]),
    order("D", "C1", [(1, "9.00")], version=2, status="cancelled"),
    order("E", "C1", [(2, "100.00")]),
    order("F", "C1", [(4, "1.00")]),
    # two orders on one shipment, delivered, proven
    plan(
        "S1",
        "NRDF",
        [("A", 1, 10, "100"), ("A", 2, 4, "50"), ("B", 1, 6, "50")],
        {"LINEHAUL": "100.00", "FUEL": "20.01"},
        weight="201.000",
    ),
    tender("S1", "tender_sent", "05T10"),
    tender("S1", "tender_accepted", "05T11"),
    event("x12_214", "AF", "S1", "08T10"),
    event("x12_214", "D1", "PROS11", "09T10", kind="pro", scac="NRDF"),
    event("x12_214", "X6", "PROS11", "08T12", kind="pro", scac="NRDF"),
    pod("S1", 20, "09T11"),
    # one order on two shipments, billed when both are proven; the second after a declined tender
    plan("S2", "BLUW", [("C", 1, 5, "10")], {"LINEHAUL": "200.00", "FUEL": "40.00"}, weight="202.000"),
    event("bluw", "DELIVERED", "S2", "09T10"),
    pod("S2", 5, "09T11", signed_by=None),
    pod("S2", 5, "09T15"),
    pod("S2", 4, "09T18"),
    plan("S3", "NRDF", [("C", 1, 3, "6")], {"LINEHAUL": "50.00"}, weight="203.000"),
    tender("S3", "tender_sent", "05T10"),
    tender("S3", "tender_declined", "05T11"),
    plan("S3", "BLUW", [("C", 1, 3, "6")], {"LINEHAUL": "60.00"}, version=2, weight="203.000"),
    tender("S3", "tender_sent", "05T12", 2),
    pod("S3", 3, "09T12"),
    # called off
    plan("S4", "NRDF", [("D", 1, 1, "5")], {"LINEHAUL": "70.00"}, weight="204.000"),
    tender("S4", "tender_sent", "05T10"),
    tender("S4", "shipment_cancelled", "06T10"),
    # on its way
    plan("S5", "NRDF", [("E", 1, 2, "5")], {"LINEHAUL": "300.00"}, weight="205.000"),
    event("x12_214", "X6", "S5", "08T12", scac="NRDF"),
    # two shipments under one bill of lading, delivered, not proven
    plan("S6", "NRDF", [("F", 1, 2, "5")], {"LINEHAUL": "80.00"}, bol="BLX", weight="206.000"),
    plan("S7", "NRDF", [("F", 1, 2, "5")], {"LINEHAUL": "90.00"}, bol="BLX", weight="207.000"),
    event("x12_214", "D1", "S6", "09T10", scac="NRDF"),
    event("x12_214", "D1", "S7", "09T10", scac="NRDF"),
    # what fits two shipments says nothing about either
    event("x12_214", "SD", "BLX", "09T09", kind="bol", scac="NRDF"),
    bill("NRDF", "N100", "10", [("LINEHAUL", "103.00"), ("FUEL", "22.01")], shipment_reference="S1"),
    bill("NRDF", "n-100a", "11", [("LINEHAUL", "100.00")], shipment_reference="S1"),
    bill("NRDF", "N101", "12", [("LINEHAUL", "-10.00")], correction="CR", pro_number="PROS11"),
    bill(
        "BLUW",
        "B200",
        "10",
        [("LINEHAUL", "200.00", "S2"), ("FUEL", "30.00", "S2"), ("FUEL", "10.00", "S2"), ("LINEHAUL", "60.00", "S3")],
        pro_number="M1",
    ),
    bill("BLUW", "B201", "11", [("LINEHAUL", "200.00"), ("FUEL", "40.00")], pro_number="OTHER", weight="202.000"),
    bill("NRDF", "N102", "10", [("LINEHAUL", "300.00")], po_number="E"),
    bill("NRDF", "N103", "10", [("LINEHAUL", "80.00")], bol_number="BLX"),
    bill("NRDF", "N104", "10", [("LINEHAUL", "83.00")], pro_number="PROS61"),
    bill("NRDF", "N105", "15", [("LINEHAUL", "2.00")], correction="BD", shipment_reference="S6"),
    bill("NRDF", "N106", "16", [("LINEHAUL", "90.00"), ("DETENTION", "5.00")], shipment_reference="S7"),
    bill("NRDF", "N107", "10", [("LINEHAUL", "80.00")], shipment_reference="NOBODY"),
    bill("NRDF", "N108", "17", [("LINEHAUL", "90.00")], shipment_reference="WRONG", pro_number="PROS71"),
]

VERDICTS = {
    "N100": "in_tolerance",
    "n-100a": "duplicate_number",
    "N101": "in_tolerance",
    "B200": "exact",
    "B201": "duplicate_move",
    "N102": "not_delivered",
    "N103": "several_candidates",
    "N104": "out_of_tolerance",
    "N105": "in_tolerance",
    "N106": "unplanned_charge",
    "N107": "no_candidate",
    "N108": "exact",
}

MILESTONES = {
    "S1": "pod_received",
    "S2": "pod_received",
    "S3": "pod_received",
    "S4": "cancelled",
    "S5": "in_transit",
    "S6": "delivered",
    "S7": "delivered",
}

ORDER_STATUSES = {
    "A": "delivered",
    "B": "delivered",
    "C": "delivered",
    "D": "cancelled",
    "E": "in_transit",
    "F": "delivered",
}

# S1's freight of 120.01 by weight 150 : 50 is 90.00 and 30.00, the cent left goes to A; plus 10 %
CUSTOMER_INVOICES = {
    "erp:A/tms:S1": {"goods": D("60.00"), "freight": D("99.01")},
    "erp:B/tms:S1": {"goods": D("60.00"), "freight": D("33.00")},
    "erp:C": {"goods": D("24.00")},
}

# shipment, charge: accrued, taken back, paid in all
FREIGHT = {
    ("S1", "LINEHAUL"): (D("100.00"), D("93.00"), D("93.00")),
    ("S1", "FUEL"): (D("20.01"), D("20.01"), D("22.01")),
    ("S2", "LINEHAUL"): (D("200.00"), D("200.00"), D("200.00")),
    ("S2", "FUEL"): (D("40.00"), D("40.00"), D("40.00")),
    ("S3", "LINEHAUL"): (D("60.00"), D("60.00"), D("60.00")),
    ("S6", "LINEHAUL"): (D("80.00"), D("2.00"), D("2.00")),
    ("S7", "LINEHAUL"): (D("90.00"), D("90.00"), D("90.00")),
}

# What is told again after customers were billed. CHANGES comes on top of BILLED.
BILLED = [
    customer("C3", "pass_through", "shipment", "10.00"),
    order("K", "C2", [(2, "10.00")]),
    plan("S20", "NRDF", [("K", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    plan("S21", "NRDF", [("K", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    pod("S20", 1, "09T10"),
    order("L", "C2", [(2, "7.00")]),
    order("M", "C2", [(1, "1.00")]),
    plan("S22", "NRDF", [("L", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    plan("S23", "NRDF", [("L", 1, 1, "5"), ("M", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    pod("S22", 1, "09T10"),
    order("N", "C2", [(3, "4.00")]),
    plan("S24", "NRDF", [("N", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    pod("S24", 1, "09T10"),
    order("O", "C1", [(2, "3.00")]),
    plan("S26", "NRDF", [("O", 1, 2, "5")], {"LINEHAUL": "10.00"}),
    pod("S26", 2, "09T10"),
    order("P", "C1", [(1, "9.00")]),
    plan("S27", "NRDF", [("P", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    pod("S27", 1, "09T10"),
    order("Q", "C3", [(1, "6.00")]),
    plan("S28", "NRDF", [("Q", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    pod("S28", 1, "09T10"),
    # planned in pesos, ordered in dollars: only R, whose freight is passed on, waits
    order("R", "C1", [(1, "8.00")]),
    order("R2", "C2", [(1, "2.00")]),
    plan("S29", "NRDF", [("R", 1, 1, "5"), ("R2", 1, 1, "5")], {"LINEHAUL": "10.00"}, currency="MXN"),
    pod("S29", 2, "09T10"),
    # one POD was as planned, the next was not
    order("T", "C2", [(4, "1.00")]),
    plan("S30", "NRDF", [("T", 1, 4, "5")], {"LINEHAUL": "10.00"}),
    pod("S30", 4, "09T10"),
    order("U", "C2", [(4, "2.00")]),
    plan("S31", "NRDF", [("U", 1, 4, "5")], {"LINEHAUL": "10.00"}, pieces=5),
    pod("S31", 4, "09T10"),
    order("W", "C2", [(4, "3.00")]),
    plan("S32", "NRDF", [("W", 1, 4, "5")], {"LINEHAUL": "10.00"}),
    plan("S32", "NRDF", [("W", 1, 4, "5")], {"LINEHAUL": "10.00"}, version=3, pieces=9, occurred_at="2026-03-12"),
    pod("S32", 4, "09T10"),
    # planned, called off, and planned anew later
    order("V", "C2", [(1, "1.00")]),
    plan("S33", "NRDF", [("V", 1, 1, "5")], {"LINEHAUL": "10.00"}),
    tender("S33", "shipment_cancelled", "06T10"),
]

CHANGES = [
    # the shipment that K waits for is called off; the one that L waits for has a plan without L
    tender("S21", "shipment_cancelled", "10T10"),
    plan("S23", "NRDF", [("M", 1, 1, "5")], {"LINEHAUL": "10.00"}, version=2),
    # the rest of N is planned only now
    plan("S25", "NRDF", [("N", 1, 2, "5")], {"LINEHAUL": "10.00"}),
    # another price, another customer
    order("O", "C1", [(2, "3.50")], version=2),
    order("P", "C2", [(1, "9.00")], version=2),
    # terms that the ERP had when Q was made (2 March), and terms of later
    customer("C3", "embedded", "order", "0.00", version=2, changed_at="2026-03-01T12:00:00Z"),
    customer("C3", "pass_through", "order", "90.00", version=3, changed_at="2026-03-03T00:00:00Z"),
    # after the fact a plan counts other pieces: what was proven stays proven, and U's proof turns out to be whole
    plan("S30", "NRDF", [("T", 1, 4, "5")], {"LINEHAUL": "10.00"}, version=2, pieces=5, occurred_at="2026-03-12"),
    plan("S31", "NRDF", [("U", 1, 4, "5")], {"LINEHAUL": "10.00"}, version=2, pieces=4, occurred_at="2026-03-12"),
    # the plan that was in force at W's door comes late
    replace(
        plan("S32", "NRDF", [("W", 1, 4, "5")], {"LINEHAUL": "10.00"}, version=2, pieces=5),
        touches=[*to_shipment("S32"), ("invoice_on_pod", "shipment", "tms:S32")],
    ),
    plan("S34", "NRDF", [("V", 1, 1, "5")], {"LINEHAUL": "10.00"}),
]

BILLED_INVOICES = {
    "erp:N": {"goods": D("4.00")},
    "erp:O/tms:S26": {"goods": D("6.00"), "freight": D("11.00")},
    "erp:P/tms:S27": {"goods": D("9.00"), "freight": D("11.00")},
    "erp:Q/tms:S28": {"goods": D("6.00"), "freight": D("11.00")},
    "erp:R2": {"goods": D("2.00")},
    "erp:T": {"goods": D("4.00")},
    "erp:W": {"goods": D("12.00")},
}

CHANGED_INVOICES = {
    "erp:K": {"goods": D("10.00")},
    "erp:L": {"goods": D("7.00")},
    "erp:O/tms:S26": {"goods": D("7.00"), "freight": D("11.00")},
    "erp:P": {"goods": D("9.00")},
    "erp:Q": {"goods": D("6.00")},
    "erp:R2": {"goods": D("2.00")},
    "erp:T": {"goods": D("4.00")},
    "erp:U": {"goods": D("8.00")},
}
