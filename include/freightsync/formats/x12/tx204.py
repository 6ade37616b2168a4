"""204: a load tender, shipper to carrier.

purpose B2A-01: 00 original, 01 cancel, 04 change, 05 replace, 06 confirm. A load has one S5 loop a stop, in the
order of their sequence numbers; hazardous goods are an LH1 loop (LH1, LH2, LH3, PER) at the stop where they board.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from freightsync.formats.x12 import common
from freightsync.formats.x12.common import Body, Money, Party, QualifiedDate, Reference, Segment, Weight

SET_ID = "204"
GROUP_IDS = ("SM",)
PURPOSES = {"00": "original", "01": "cancel", "04": "change", "05": "replace", "06": "confirm"}


@dataclass(slots=True)
class Equipment:
    """An N7: equipment initial and number, description code (TF trailer, …), length as sent (FFFII)."""

    initial: str | None
    number: str | None
    code: str | None = None
    length: str | None = None


@dataclass(slots=True)
class Goods:
    """What is handled at a stop: an L5 (lading), an OID (order) or a LAD (lading detail).

    kind 'L5': number, description, commodity code, packaging, weight from the AT8 that follows.
    kind 'OID': order_number, purchase_order, pieces, weight.  kind 'LAD': packaging, pieces, weight, description.
    """

    kind: str
    number: str | None = None
    description: str | None = None
    commodity_code: str | None = None
    commodity_qualifier: str | None = None
    packaging: str | None = None
    pieces: Decimal | None = None
    order_number: str | None = None
    purchase_order: str | None = None
    weight: Decimal | None = None
    weight_unit: str | None = None
    weights: list[Weight] = field(default_factory=list)


@dataclass(slots=True)
class Hazmat:
    """An LH1 loop. un_number LH1-03 as sent (UN1203), packing_group LH1-10, hazard_class LH2-01."""

    un_number: str | None
    quantity: Decimal | None = None
    unit: str | None = None
    packing_group: str | None = None
    hazard_class: str | None = None
    placard: str | None = None
    reportable_quantity: str | None = None
    shipping_names: list[str] = field(default_factory=list)
    emergency_contact: str | None = None
    emergency_phone: str | None = None


@dataclass(slots=True)
class Stop:
    """An S5 loop. sequence S5-01, reason S5-02 as sent (CL complete load, CU complete unload, LD, UL, PL, PU, …)."""

    sequence: int
    reason: str
    weight: Decimal | None = None
    weight_unit: str | None = None
    pieces: Decimal | None = None
    pieces_unit: str | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[QualifiedDate] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    goods: list[Goods] = field(default_factory=list)
    hazmat: list[Hazmat] = field(default_factory=list)


@dataclass(slots=True)
class LoadTender204:
    """shipment_id B2-04, scac B2-02, payment_method B2-06, purpose B2A-01, application_type B2A-02.

    total_charge L3-05 in `currency` (C3-01, else the partner's default, else None), total_weight L3-01.
    """

    shipment_id: str
    scac: str | None
    purpose: str
    payment_method: str | None = None
    application_type: str | None = None
    currency: str | None = None
    transport_method: str | None = None
    references: list[Reference] = field(default_factory=list)
    dates: list[QualifiedDate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    parties: list[Party] = field(default_factory=list)
    equipment: list[Equipment] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    total_weight: Decimal | None = None
    weight_qualifier: str | None = None
    rate: Decimal | None = None
    rate_qualifier: str | None = None
    total_charge: Decimal | None = None
    total_pieces: Decimal | None = None


def parse(body: Body, money: Money) -> LoadTender204:
    load = LoadTender204("", None, "")
    stop: Stop | None = None
    party: Party | None = None
    goods: Goods | None = None
    hazmat: Hazmat | None = None
    seen: set[str] = set()

    for at, segment in enumerate(body.segments):
        tag = segment[0]
        if tag in ("B2", "B2A") and tag in seen:
            body.report("error", "repeated_segment", at, None, f"a second {tag}: two tenders run together")
        elif tag == "B2":
            load.scac = common.optional(segment, 2)
            load.shipment_id = common.element(segment, 4)
            load.payment_method = common.optional(segment, 6)
            if not load.shipment_id:
                body.report("error", "missing_value", at, "B204", "no shipment id")
        elif tag == "B2A":
            load.purpose = common.element(segment, 1)
            load.application_type = common.optional(segment, 2)
            if not load.purpose:
                body.report("error", "missing_value", at, "B2A01", "no purpose: a new tender or a cancellation?")
            elif load.purpose not in PURPOSES:
                body.report("warning", "unknown_code", at, "B2A01", f"purpose {load.purpose[:20]!r} is not known")
        elif tag == "S5":
            stop = _read_s5(body, at)
            load.stops.append(stop)
            party = goods = hazmat = None
        elif tag == "L11" or tag == "N9":
            reference = common.read_reference(segment, *((1, 2) if tag == "L11" else (2, 1)))
            if reference is not None:
                (load if stop is None else stop).references.append(reference)
        elif tag == "G62":
            (load if stop is None else stop).dates.append(common.read_g62(body, at))
        elif tag == "NTE":
            text = common.element(segment, 2)
            if text:
                (load if stop is None else stop).notes.append(text)
        elif tag == "N1":
            party = common.read_n1(segment)
            (load if stop is None else stop).parties.append(party)
        elif tag in ("N2", "N3", "N4"):
            if party is not None:
                common.add_to_party(party, segment)
        elif tag == "AT8":
            weight = common.read_at8(body, at)
            if goods is not None:
                goods.weights.append(weight)
            elif stop is not None:
                stop.weights.append(weight)
        elif tag in ("L5", "OID", "LAD"):
            goods = _read_goods(body, at)
            hazmat = None
            if stop is not None:
                stop.goods.append(goods)
        elif tag == "LH1":
            hazmat = Hazmat(
                common.optional(segment, 3),
                common.number_or_report(body, at, 2),
                common.optional(segment, 1),
                common.optional(segment, 10),
            )
            if stop is not None:
                stop.hazmat.append(hazmat)
            else:
                body.report("warning", "unexpected_segment", at, None, "hazardous goods before any stop")
        elif tag == "LH2":
            if hazmat is not None:
                hazmat.hazard_class = common.optional(segment, 1)
                hazmat.placard = common.optional(segment, 3)
                hazmat.reportable_quantity = common.optional(segment, 5)
        elif tag == "LH3":
            name = common.optional(segment, 1)
            if hazmat is not None and name is not None:
                hazmat.shipping_names.append(name)
        elif tag == "PER":
            if hazmat is not None:
                hazmat.emergency_contact = common.optional(segment, 2)
                hazmat.emergency_phone = common.optional(segment, 4)
        elif tag == "N7":
            load.equipment.append(
                Equipment(
                    common.optional(segment, 1),
                    common.optional(segment, 2),
                    common.optional(segment, 11),
                    common.optional(segment, 15),
                )
            )
        elif tag == "MS3":
            load.transport_method = common.optional(segment, 4)
        elif tag == "C3":
            load.currency = common.optional(segment, 1)
        elif tag == "L3":
            load.total_weight = common.number_or_report(body, at, 1)
            load.weight_qualifier = common.optional(segment, 2)
            load.rate = common.number_or_report(body, at, 3)
            load.rate_qualifier = common.optional(segment, 4)
            load.total_charge = common.money_or_report(body, at, 5, money, "warning")
            load.total_pieces = common.number_or_report(body, at, 11)
        else:
            body.stray(at)
        seen.add(tag)

    for tag in ("B2", "B2A"):
        if tag not in seen:
            body.report("error", "missing_segment", 0, tag, f"a 204 without {tag} tenders nothing")
    if "S5" not in seen and load.purpose != "01":
        body.report("warning", "missing_segment", 0, "S5", "a tender without any stop")
    if load.currency is None:
        load.currency = body.profile.default_currency
    return load


def _read_s5(body: Body, at: int) -> Stop:
    segment = body.segments[at]
    sequence = common.element(segment, 1)
    reason = common.element(segment, 2)
    numbered = sequence.isascii() and sequence.isdigit() and len(sequence) <= 9
    if not numbered:
        code = "unreadable_value" if sequence else "missing_value"
        body.report("error", code, at, "S501", f"not a stop sequence number: {sequence[:20]!r}")
    if not reason:
        body.report("error", "missing_value", at, "S502", "a stop without what is done there")
    return Stop(
        int(sequence) if numbered else 0,
        reason,
        common.number_or_report(body, at, 3),
        common.optional(segment, 4),
        common.number_or_report(body, at, 5),
        common.optional(segment, 6),
    )


def _read_goods(body: Body, at: int) -> Goods:
    segment: Segment = body.segments[at]
    kind = segment[0]
    if kind == "L5":
        return Goods(
            kind,
            number=common.optional(segment, 1),
            description=common.optional(segment, 2),
            commodity_code=common.optional(segment, 3),
            commodity_qualifier=common.optional(segment, 4),
            packaging=common.optional(segment, 5),
        )
    if kind == "OID":
        return Goods(
            kind,
            order_number=common.optional(segment, 1),
            purchase_order=common.optional(segment, 2),
            packaging=common.optional(segment, 4),
            pieces=common.number_or_report(body, at, 5),
            weight_unit=common.optional(segment, 6),
            weight=common.number_or_report(body, at, 7),
        )
    return Goods(
        kind,
        packaging=common.optional(segment, 1),
        pieces=common.number_or_report(body, at, 2),
        weight_unit=common.optional(segment, 5),
        weight=common.number_or_report(body, at, 6),
        description=common.optional(segment, 13),
    )


def as_json(load: LoadTender204) -> dict[str, object]:
    return {
        "shipment_id": load.shipment_id,
        "scac": load.scac,
        "purpose": load.purpose,
        "payment_method": load.payment_method,
        "currency": load.currency,
        "total_charge": common.money_text(load.total_charge),
        "total_weight": common.money_text(load.total_weight),
        "references": common.references_json(load.references),
        "dates": [_date_json(d) for d in load.dates],
        "notes": load.notes,
        "parties": [common.party_json(p) for p in load.parties],
        "stops": [
            {
                "sequence": stop.sequence,
                "reason": stop.reason,
                "references": common.references_json(stop.references),
                "dates": [_date_json(d) for d in stop.dates],
                "parties": [common.party_json(p) for p in stop.parties],
                "notes": stop.notes,
                "goods": [
                    {
                        "kind": g.kind,
                        "description": g.description,
                        "order_number": g.order_number,
                        "purchase_order": g.purchase_order,
                        "pieces": common.money_text(g.pieces),
                        "weight": common.money_text(g.weight or (g.weights[0].weight if g.weights else None)),
                    }
                    for g in stop.goods
                ],
                "hazmat": [
                    {
                        "un_number": h.un_number,
                        "hazard_class": h.hazard_class,
                        "packing_group": h.packing_group,
                        "shipping_names": h.shipping_names,
                        "emergency_phone": h.emergency_phone,
                    }
                    for h in stop.hazmat
                ],
            }
            for stop in load.stops
        ],
    }


def _date_json(value: QualifiedDate) -> dict[str, object]:
    return {
        "date_qualifier": value.date_qualifier,
        "date": common.iso(value.date),
        "time_qualifier": value.time_qualifier,
        "time": common.iso(value.time),
        "time_code": value.time_code,
    }
