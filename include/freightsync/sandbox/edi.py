"""What carriers write: NRDF its 214 and 210 as X12 and some bills as EDIFACT INVOIC, HNSA (whose contract is in euros)
214s and INVOICs, BLUW a table, from the plain descriptions in a scenario's actions.

A 214: `{"shipment_id", "pro_number", "scac", "events": [{"status", "reason", "on", "time", "time_code",
"city", "state", "country", "stop"}]}`; a 210: `{"invoice_number", "shipment_id", "scac", "invoice_on", "net_amount",
"correction", "currency", "ship_on", "bol_number", "pro_number", "po_number", "origin", "destination" (each `{"name",
"city", "state", "postal_code"}`), "weight_lb", "payee", "tax_amount", "groups": [{"shipment_id", "pro_number",
"bol_number", "po_number", "weight_lb", "lines": [{"code", "description", "amount"}]}]}`, an INVOIC the same. Null or
missing: not written.

Carriers without a channel of their own send a table by mail, which somebody of ours uploads in the form of our portal;
an audit platform sends its results as a table, and so does our pricing team its rate cards.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from freightsync.formats import edifact
from freightsync.formats.tabular import write_xlsx
from freightsync.formats.x12 import (
    AnsweredTransaction,
    ApplicationAdvice824,
    ApplicationError,
    ChargeLine,
    Envelope,
    Interchange,
    Invoice210,
    LineGroup,
    Party,
    Quantity,
    Reference,
    Status214,
    StatusEvent,
    TenderResponse990,
    acknowledge,
    read,
    write,
)
from freightsync.formats.x12.tx824 import INCORRECT, OTHER, REJECTED

RECEIVER = "FREIGHTSYNC"


def interchange(
    kind: str, transactions: Sequence[dict[str, Any]], control_number: int, at: dt.datetime, sender: str = "NRDF"
) -> bytes:
    """A whole file of `214`s, `210`s, `990`s or `824`s of a carrier."""
    envelope = Envelope(sender=sender, sender_qualifier="02", receiver=RECEIVER, control_number=control_number, at=at)
    builders: dict[str, Callable[[dict[str, Any]], Status214 | TenderResponse990 | Invoice210 | ApplicationAdvice824]]
    builders = {"214": status_214, "990": response_990, "210": invoice_210, "824": advice_824}
    build = builders[kind]
    return write(envelope, [build(t) for t in transactions], decimals="implied")


def status_214(given: dict[str, Any]) -> Status214:
    events = [
        StatusEvent(
            status=e["status"],
            reason=e.get("reason"),
            occurred_on=dt.date.fromisoformat(e["on"]),
            occurred_time=dt.time.fromisoformat(e["time"]),
            time_code=e.get("time_code"),
            city=e.get("city"),
            state=e.get("state"),
            country=e.get("country"),
            group=str(n),
            references=[Reference("QN", str(e["stop"]))] if e.get("stop") else [],
        )
        for n, e in enumerate(given["events"], 1)
    ]
    return Status214(
        reference_id=given.get("pro_number"),
        shipment_id=given.get("shipment_id"),
        scac=given.get("scac"),
        events=events,
    )


def response_990(given: dict[str, Any]) -> TenderResponse990:
    """`{"scac", "shipment_id", "action", "on", "pro_number"}`"""
    return TenderResponse990(
        given["scac"],
        given["shipment_id"],
        given["action"],
        responded_on=dt.date.fromisoformat(given["on"]),
        references=[Reference("CN", given["pro_number"])] if given.get("pro_number") else [],
    )


def advice_824(given: dict[str, Any]) -> ApplicationAdvice824:
    """`{"code", "qualifier", "reference", "words", "on"}`: what the carrier makes of the document with that number."""
    errors = [ApplicationError(OTHER, given["words"])] if given["words"] else []
    answer = AnsweredTransaction(given["code"], given["qualifier"], given["reference"], errors=errors)
    return ApplicationAdvice824(given["reference"], dt.date.fromisoformat(given["on"]), purpose="11", answers=[answer])


def contested(content: bytes, control_number: int, wrong: Mapping[str, str]) -> bytes | None:
    """The 824 with which a carrier says that advices of ours in this file are wrong, by bill; None where none is."""
    answers, envelope = [], None
    for interchange in read(content).interchanges:
        for transaction in interchange.transactions:
            advice = transaction.document
            if not isinstance(advice, ApplicationAdvice824) or transaction.group is None:
                continue
            for one in advice.answers:
                if one.reference in wrong:
                    answers.append(
                        AnsweredTransaction(
                            REJECTED,
                            one.reference_qualifier,
                            one.reference,
                            transaction.set_id,
                            transaction.group.control_number,
                            transaction.control_number,
                            errors=[ApplicationError(INCORRECT, wrong[one.reference])],
                        )
                    )
        envelope = _to(interchange, control_number)
    if envelope is None or not answers:
        return None
    return write(envelope, [ApplicationAdvice824(f"{control_number:09d}", purpose="11", answers=answers)])


def _to(interchange: Interchange, control_number: int) -> Envelope:
    """Of an answer to whom this interchange is from."""
    theirs = interchange.envelope
    return Envelope(
        sender=theirs.receiver,
        sender_qualifier=theirs.receiver_qualifier or "02",
        receiver=theirs.sender,
        control_number=control_number,
        at=dt.datetime.now(dt.UTC),
    )


def receipts(content: bytes, control_number: int) -> bytes | None:
    """The 997 with which a carrier acknowledges a file of ours; None where there is nothing to acknowledge."""
    for interchange in read(content).interchanges:
        answers = acknowledge(interchange)
        if answers:
            return write(_to(interchange, control_number), answers)
    return None


def invoice_210(given: dict[str, Any]) -> Invoice210:
    references = [
        Reference(qualifier, given[name])
        for qualifier, name in (("BM", "bol_number"), ("CN", "pro_number"), ("PO", "po_number"))
        if given.get(name)
    ]
    parties = [
        Party(
            role,
            p.get("name"),
            city=p.get("city"),
            state=p.get("state"),
            postal_code=p.get("postal_code"),
            country="US",
        )
        for role, p in (("SH", given.get("origin")), ("CN", given.get("destination")))
        if p
    ]
    if given.get("payee"):
        parties.append(Party("RE", given["payee"]))
    consolidated = len(given["groups"]) > 1
    groups = []
    number = 0
    for g in given["groups"]:
        for line in g["lines"]:
            number += 1
            own = []
            if consolidated:
                keys = (("SI", "shipment_id"), ("CN", "pro_number"), ("BM", "bol_number"), ("PO", "po_number"))
                own = [Reference(q, g[name]) for q, name in keys if g.get(name)]
            first = line is g["lines"][0]
            quantity = (
                Quantity(str(number), Decimal(g["weight_lb"]), "G", None, None, "L")
                if g.get("weight_lb") and first
                else None
            )
            groups.append(
                LineGroup(
                    str(number),
                    [ChargeLine(line["code"], Decimal(line["amount"]), line.get("description"), item=str(number))],
                    own,
                    [quantity] if quantity else [],
                )
            )
    return Invoice210(
        invoice_number=given["invoice_number"],
        shipment_id=given.get("shipment_id"),
        scac=given["scac"],
        payment_method="PP",
        currency=given.get("currency"),
        invoice_date=dt.date.fromisoformat(given["invoice_on"]),
        net_amount=Decimal(given["net_amount"]),
        correction=given.get("correction") or None,
        pickup_date=dt.date.fromisoformat(given["ship_on"]) if given.get("ship_on") else None,
        references=references,
        parties=parties,
        groups=groups,
        total_weight=Decimal(given["weight_lb"]) if given.get("weight_lb") else None,
        weight_qualifier="G" if given.get("weight_lb") else None,
        total_charge=Decimal(given["net_amount"]),
    )


INVOIC_CODES = {"": "380", "CR": "381", "BD": "383", "RB": "384"}


def invoices_edifact(
    bills: Sequence[dict[str, Any]], control_number: int, at: dt.datetime, sender: str = "NRDF"
) -> bytes:
    """A whole file of INVOICs of a carrier."""
    envelope = edifact.Envelope(sender=sender, receiver=RECEIVER, control_number=str(control_number), at=at)
    return edifact.write(envelope, [invoic(bill) for bill in bills])


def invoic(given: dict[str, Any]) -> edifact.Invoic:
    """A credit note has positive amounts, as EDIFACT wants it."""
    correction = given.get("correction") or ""
    sign = -1 if correction == "CR" else 1
    references = [
        edifact.Reference(qualifier, given[name])
        for qualifier, name in (
            ("SRN", "shipment_id"),
            ("BM", "bol_number"),
            ("CN", "pro_number"),
            ("ON", "po_number"),
        )
        if given.get(name)
    ]
    parties = [edifact.Party("CA", given["scac"], "182")]
    parties += [
        edifact.Party(role, names=[p["name"]], city=p["city"], region=p["state"], postal_code=p["postal_code"])
        for role, p in (("CZ", given.get("origin")), ("DP", given.get("destination")))
        if p
    ]
    net = sign * Decimal(given["net_amount"])
    tax = sign * Decimal(given.get("tax_amount", "0.00"))
    totals = [
        edifact.Amount("125", net),
        *([edifact.Amount("124", tax)] if tax else []),
        edifact.Amount("77", net + tax),
    ]
    lines = [line for g in given["groups"] for line in g["lines"]]
    return edifact.Invoic(
        document_code=INVOIC_CODES[correction],
        number=given["invoice_number"],
        invoice_date=dt.date.fromisoformat(given["invoice_on"]),
        function="9",
        currency=given["currency"],
        references=references,
        dates=[edifact.Moment("11", dt.date.fromisoformat(given["ship_on"]))],
        parties=parties,
        measures=[edifact.Measure("WT", "G", "LBR", Decimal(given["weight_lb"]))],
        lines=[
            edifact.LineItem(
                str(n),
                line["code"],
                "SRV",
                description=line["description"],
                amounts=[edifact.Amount("203", sign * Decimal(line["amount"]))],
            )
            for n, line in enumerate(lines, 1)
        ],
        amounts=totals,
    )


CSV_COLUMNS = [
    "InvoiceNo",
    "InvoiceDate",
    "Type",
    "ShipmentRef",
    "BOL",
    "PRO",
    "PO",
    "ShipDate",
    "OriginZip",
    "DestZip",
    "WeightLb",
    "ChargeCode",
    "Description",
    "Amount",
    "InvoiceTotal",
    "Currency",
]


UPLOAD_COLUMNS = {
    "invoices": [
        *("Invoice number", "Invoice date", "Kind of bill", "Payee", "Shipment", "Bill of lading", "PRO", "Order"),
        *("Ship date", "From postal code", "To postal code", "Weight lb", "Charge code", "Charge", "Amount"),
        *("Invoice total without tax", "Invoice tax", "Invoice total with tax", "Currency"),
    ],
    "accessorials": [
        *("Reference", "Date", "Invoice of the freight", "Shipment", "Charge code", "What for", "Amount", "Currency"),
    ],
}
"""The forms that our portal offers."""
AUDIT_COLUMNS = [
    *("AuditRef", "Revision", "AuditDate", "SCAC", "InvoiceNo", "InvoiceDate", "Action", "Reason", "Billed", "Audited"),
    *("Currency", "ChargeCode", "ChargeBilled", "ChargeAudited", "ChargeReason"),
]


def invoices_csv(invoices: Sequence[Sequence[dict[str, str]]]) -> bytes:
    """Carrier BLUW's file: one row a charge, rows of an invoice together. A row: column -> text."""
    return table_csv(CSV_COLUMNS, [row for rows in invoices for row in rows])


def table_csv(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def upload(kind: str, rows: Sequence[dict[str, str]], *, workbook: bool) -> bytes:
    """A table in one of our portal's forms, as a workbook or as CSV."""
    return _table(UPLOAD_COLUMNS[kind], rows, workbook=workbook, sheet="Bills")


def table(rows: Sequence[dict[str, str]], *, workbook: bool) -> bytes:
    """A table with the columns that its rows have: how the pricing team writes rates."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return _table(columns, rows, workbook=workbook, sheet="Rates")


def _table(columns: Sequence[str], rows: Sequence[dict[str, str]], *, workbook: bool, sheet: str) -> bytes:
    if not workbook:
        return table_csv(columns, rows)
    out = io.BytesIO()
    write_xlsx(out, columns, rows, sheet=sheet)
    return out.getvalue()


def invoices_xlsx(invoices: Sequence[Sequence[dict[str, str]]]) -> bytes:
    """The same as a workbook."""
    out = io.BytesIO()
    write_xlsx(out, CSV_COLUMNS, [row for rows in invoices for row in rows], sheet="Invoices")
    return out.getvalue()
