"""Freight for the settlement benchmark: shipments with planned charges, and the invoices that their carriers send.

Seeded, streamed in blocks of 200 invoices, so that memory does not grow with the size. The same block always has the
same content, whatever the size. What each invoice must come to is known here, because it was made so on purpose:

    of 200   1 for a shipment that nobody knows, 1 under a number that was billed already
             5 consolidated, each for 2 shipments
             6 in pairs: two bills for one shipment, the second for what the first left out
           187 for one shipment each, of which 6 bill one charge over its tolerance and 12 within it

So 200 shipments with 600 planned charges get 200 invoices with 606 lines. A bill for one shipment names it by all its
numbers or by one: bill of lading (12 %), PRO (12 %), order (8 %).
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

BLOCK = 200
CARRIERS = ("NRDF", "BLUW")
"""By turns, a block each: the first sends X12 210, the second CSV."""

SHORT_PAID = ("BLUW",)
"""Whose over-billed charges are paid as planned; the others' bills are held as a whole."""

FIRST_DAY = dt.date(2026, 10, 1)
DAYS = 28
INVOICED = dt.date(2026, 11, 2)

ACCESSORIALS = ("LIFTGATE", "DETENTION", "LAYOVER", "STOPOFF", "RESIDENTIAL", "INSIDE")
CODES = {
    "NRDF": {
        "LINEHAUL": "400",
        "FUEL": "405",
        "LIFTGATE": "LFT",
        "DETENTION": "DTU",
        "LAYOVER": "LAY",
        "STOPOFF": "SOC",
        "RESIDENTIAL": "RES",
        "INSIDE": "IDL",
    },
    "BLUW": {
        "LINEHAUL": "LH",
        "FUEL": "FSC",
        "LIFTGATE": "LIFT",
        "DETENTION": "DETN",
        "LAYOVER": "LAYO",
        "STOPOFF": "STOP",
        "RESIDENTIAL": "RESI",
        "INSIDE": "INSD",
    },
}
ACCOUNTS = {
    "LINEHAUL": "6100",
    "FUEL": "6110",
    "LIFTGATE": "6120",
    "DETENTION": "6130",
    "LAYOVER": "6140",
    "STOPOFF": "6150",
    "RESIDENTIAL": "6160",
    "INSIDE": "6170",
}
WORDS = {charge: charge.title() for charge in ACCOUNTS}

CITIES = (
    ("Rockford", "IL", "61101"),
    ("Toledo", "OH", "43604"),
    ("Macon", "GA", "31201"),
    ("Tulsa", "OK", "74101"),
    ("Reno", "NV", "89501"),
    ("Fresno", "CA", "93701"),
    ("Erie", "PA", "16501"),
    ("Mobile", "AL", "36602"),
    ("Salem", "OR", "97301"),
    ("Laredo", "TX", "78040"),
    ("Dayton", "OH", "45402"),
    ("Boise", "ID", "83702"),
)

VERDICTS = ("exact", "in_tolerance", "out_of_tolerance", "no_candidate", "duplicate_number")


@dataclass(slots=True)
class Shipment:
    """A load as planned. charges: canonical code -> cents."""

    number: int
    scac: str
    origin: tuple[str, str, str]
    destination: tuple[str, str, str]
    ship_on: dt.date
    weight: str
    charges: dict[str, int]

    @property
    def id(self) -> str:
        return f"SH{self.number:08d}"

    @property
    def pro(self) -> str:
        return f"P{self.scac[0]}{self.number:08d}"

    @property
    def bol(self) -> str:
        return f"BL{self.number:08d}"

    @property
    def order(self) -> str:
        return f"SO{self.number:08d}"


@dataclass(slots=True)
class Bill:
    """An invoice as the carrier sends it.

    lines: (shipment, charge, cents). keys: which of its shipment's numbers the bill names: shipment, bol, pro, po. A
    consolidated bill (none) names its shipments by line.
    """

    number: str
    scac: str
    on: dt.date
    shipment: Shipment
    lines: list[tuple[Shipment, str, int]]
    keys: tuple[str, ...]
    verdict: str
    weight: str
    corrupted: str = ""
    net: int = field(init=False)

    def __post_init__(self) -> None:
        self.net = sum(cents for _, _, cents in self.lines)

    @property
    def owed(self) -> int:
        if self.verdict in ("exact", "in_tolerance"):
            return self.net
        if self.verdict == "out_of_tolerance" and self.scac in SHORT_PAID:
            return sum(min(cents, about.charges[charge]) for about, charge, cents in self.lines)
        return 0


ALL = ("shipment", "bol", "pro", "po")


def shipments_of(block: int, seed: int) -> list[Shipment]:
    draw = random.Random(f"{seed} plan {block}")
    scac = CARRIERS[block % 2]
    number = block * BLOCK
    made = []
    for _ in range(BLOCK):
        number += 1
        linehaul = draw.randrange(20_000, 250_000)
        origin, destination = draw.sample(CITIES, 2)
        made.append(
            Shipment(
                number,
                scac,
                origin,
                destination,
                FIRST_DAY + dt.timedelta(days=draw.randrange(DAYS)),
                f"{draw.randrange(1_000, 40_000)}.{draw.randrange(1_000):03d}",
                {
                    "LINEHAUL": linehaul,
                    "FUEL": linehaul * draw.randrange(150, 300) // 1000,
                    draw.choice(ACCESSORIALS): draw.randrange(4_000, 20_000),
                },
            )
        )
    return made


def bills_of(block: int, seed: int, shipments: list[Shipment]) -> list[Bill]:
    """The 200 invoices of a block, in the order in which they are sent."""
    draw = random.Random(f"{seed} bill {block}")
    scac = CARRIERS[block % 2]
    free = iter(draw.sample(shipments, len(shipments)))
    count = 0

    def number() -> str:
        nonlocal count
        count += 1
        return f"{scac[:2]}{block * BLOCK + count:08d}"

    def on(shipment: Shipment) -> dt.date:
        return INVOICED + (shipment.ship_on - FIRST_DAY) // 2

    def lines_of(shipment: Shipment) -> list[tuple[Shipment, str, int]]:
        return [(shipment, charge, cents) for charge, cents in shipment.charges.items()]

    bills: list[Bill] = []
    for n in range(187):
        shipment = next(free)
        lines = lines_of(shipment)
        verdict = "exact"
        if n < 18:
            at = draw.randrange(2) if n < 6 else draw.randrange(3)
            _, charge, cents = lines[at]
            # tolerances lie between 3 and 12 %; six beyond, twelve within
            over = cents * draw.randrange(180, 260) // 1000 if n < 6 else max(1, cents * draw.randrange(10, 25) // 1000)
            lines[at] = (shipment, charge, cents + over)
            verdict = "out_of_tolerance" if n < 6 else "in_tolerance"
        chance = draw.random()
        keys = ("bol",) if chance < 0.12 else ("pro",) if chance < 0.24 else ("po",) if chance < 0.32 else ALL
        bills.append(Bill(number(), scac, on(shipment), shipment, lines, keys, verdict, shipment.weight))
    for _ in range(3):
        shipment = next(free)
        lines = lines_of(shipment)
        bills.append(Bill(number(), scac, on(shipment), shipment, lines[:2], ALL, "exact", shipment.weight))
        later = on(shipment) + dt.timedelta(days=1)
        bills.append(Bill(number(), scac, later, shipment, lines[2:], ALL, "exact", shipment.weight))
    for _ in range(5):
        first, second = next(free), next(free)
        lines = [*lines_of(first), *lines_of(second)]
        bills.append(Bill(number(), scac, on(first), first, lines, (), "exact", first.weight))
    again = bills[draw.randrange(18, 187)]
    spelt = f"{again.number[:2].lower()}-{again.number[2:]}A"
    bills.append(
        Bill(
            spelt,
            scac,
            again.on + dt.timedelta(days=1),
            again.shipment,
            again.lines,
            again.keys,
            "duplicate_number",
            again.weight,
        )
    )
    stranger = Shipment(
        90_000_000 + block,
        scac,
        ("Holtsville", "NY", "00501"),
        ("Holtsville", "NY", "00544"),
        FIRST_DAY,
        f"{block + 1}.000",
        {"LINEHAUL": draw.randrange(20_000, 90_000), "FUEL": 9_000, "LIFTGATE": 5_000},
    )
    bills.append(Bill(number(), scac, INVOICED, stranger, lines_of(stranger), ALL, "no_candidate", stranger.weight))
    draw.shuffle(bills)
    return bills


def expected(blocks: int) -> dict[str, int]:
    """Verdict -> invoices, of so many blocks."""
    return {
        "exact": 180 * blocks,
        "in_tolerance": 12 * blocks,
        "out_of_tolerance": 6 * blocks,
        "no_candidate": blocks,
        "duplicate_number": blocks,
    }


LINES_A_BLOCK = 606
CHARGES_A_BLOCK = 600


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


# ------------------------------------------------------------------ files


def x12_interchange(bills: list[Bill], control: int) -> str:
    """One interchange with one group. Amounts have two implied decimals, as NRDF sends them."""
    out = [
        "ISA*00*          *00*          *02*NRDF           *ZZ*SHIPPER        *261109*0800*U*00401*"
        f"{control:09d}*0*P*:~GS*IM*NRDF*SHIPPER*20261109*0800*{control}*X*004010~"
    ]
    for number, bill in enumerate(bills, 1):
        ship = bill.shipment
        named = bill.keys
        body = [
            f"B3**{bill.number}*{ship.id if 'shipment' in named else ''}*PP**{bill.on:%Y%m%d}*{bill.net}**"
            f"{ship.ship_on:%Y%m%d}*035*NRDF*{ship.ship_on:%Y%m%d}",
            "C3*USD",
        ]
        if "bol" in named:
            body.append(f"N9*BM*{ship.bol}")
        if "pro" in named:
            body.append(f"N9*CN*{ship.pro}")
        if "po" in named:
            body.append(f"N9*PO*{ship.order}")
        for role, (city, state, postal) in (("SH", ship.origin), ("CN", ship.destination)):
            body += [f"N1*{role}*{city.upper()} TERMINAL", "N3*1 DOCK ROAD", f"N4*{city.upper()}*{state}*{postal}*US"]
        loop = 0
        last: Shipment | None = None
        for line, (about, charge, cents) in enumerate(bill.lines, 1):
            if about is not last:
                last = about
                loop += 1
                body.append(f"LX*{loop}")
                if not named:
                    body.append(f"N9*SI*{about.id}")
                body += [f"L5*{line}*{WORDS[charge].upper()}", f"L0*{line}***{about.weight}*G***1*PLT**L"]
            body.append(f"L1*{line}*{cents}*FR*{cents}****{CODES['NRDF'][charge]}")
        body.append(f"L3*{bill.weight}*G***{bill.net}")
        out.append(f"ST*210*{number:04d}~")
        out.append("~".join(body))
        out.append(f"~SE*{len(body) + 2}*{number:04d}~")
    out.append(f"GE*{len(bills)}*{control}~IEA*1*{control:09d}~")
    return "".join(out)


CSV_HEADER = (
    "InvoiceNo,InvoiceDate,Type,ShipmentRef,BOL,PRO,PO,ShipDate,OriginZip,DestZip,WeightLb,ChargeCode,Description,"
    "Amount,InvoiceTotal,Currency\r\n"
)


def csv_rows(bill: Bill) -> str:
    ship = bill.shipment
    named = bill.keys
    head = f"{bill.number},{bill.on:%m/%d/%Y},"
    keys = (
        f"{ship.bol if 'bol' in named else ''},{ship.pro if 'pro' in named else ''},"
        f"{ship.order if 'po' in named else ''},{ship.ship_on:%m/%d/%Y},{ship.origin[2]},{ship.destination[2]},"
        f"{bill.weight}"
    )
    total = money(bill.net)
    rows = []
    for about, charge, cents in bill.lines:
        reference = about.id if not named or "shipment" in named else ""
        rows.append(f"{head},{reference},{keys},{CODES['BLUW'][charge]},{WORDS[charge]},{money(cents)},{total},USD\r\n")
    return "".join(rows)


def blocks(first: int, count: int, seed: int) -> Iterator[tuple[int, list[Shipment], list[Bill]]]:
    for block in range(first, first + count):
        shipments = shipments_of(block, seed)
        yield block, shipments, bills_of(block, seed, shipments)
