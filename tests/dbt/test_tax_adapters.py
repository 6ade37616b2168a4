# ruff: noqa: E501  (tables, one row a line)
"""A country more is a folder more: nothing global changes, and it works. And a second reading of the rules, in plain
Python over the CSV files, comes to the same as the relations for random questions."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import uuid
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import psycopg
import pytest

from freightsync import local, rules
from freightsync.local import Line, Place, Question, TaxRefused, ask
from freightsync.local.port import Said, ask_many
from freightsync.warehouse import provision
from freightsync.warehouse.embedded import create_database, drop_database

REPOSITORY = Path(__file__).parents[2]
SINCE = "2000-01-01,2000-01-01T00:00:00+00:00,test"

NORTHLAND = {
    "zones.csv": f"""rule_id,rule_version,zone,country,valid_from,recorded_at,recorded_by,note
zone.northland.xn,1,northland,XN,{SINCE},a country that is not
""",
    "rules.csv": """rule_id,rule_version,priority,conditions,treatment,category,place,rate_class,local_rates,reason_code,reason,source,valid_from,valid_to,recorded_at,recorded_by
xn.goods,1,10,supply=goods; line.kind=goods; line.tax_class=standard; ship_to.is=same_country,taxed,S,ship_to,levy,none,,the king's levy,Law of the Snow 1,2000-01-01,,2000-01-01T00:00:00+00:00,test
xn.sledge,1,10,line.kind=freight; move.carrier=own; customer.is_hunter=no,as_goods,,,,none,,sledges follow their load,Law of the Snow 2,2000-01-01,,2000-01-01T00:00:00+00:00,test
xn.sledge.hunter,1,20,line.kind=freight; move.carrier=own; customer.is_hunter=yes,not_taxed,E,ship_to,,none,,hunters pay no sledge,Law of the Snow 3,2010-01-01,,2000-01-01T00:00:00+00:00,test
""",
    "rates.csv": f"""rule_id,rule_version,country,region,rate_class,tax_name,rate_percent,valid_from,recorded_at,recorded_by,note
rate.xn.levy,1,XN,*,levy,King's levy,3.5,{SINCE},x
rate.xn.levy,2,XN,*,levy,King's levy,4,2020-01-01,2000-01-01T00:00:00+00:00,test,x
""",
}
COMPANY = {
    "tax_seller.csv": f"""rule_id,rule_version,seller_id,legal_name,country,region,valid_from,recorded_at,recorded_by,note
seller.xn,1,XN1,Northland Sledges,XN,,{SINCE},x
seller.de,1,DE1,Hamburg Spedition,DE,,{SINCE},x
seller.us,1,US1,Chicago Works,US,IL,{SINCE},x
seller.in1,1,IN1,Pune Carriers,IN,27,{SINCE},x
seller.in2,1,IN2,Delhi Carriers,IN,07,{SINCE},x
""",
    "tax_registration.csv": f"""rule_id,rule_version,seller_id,country,region,attributes,valid_from,recorded_at,recorded_by,note
reg.in1,1,IN1,IN,*,"{{""gta_charge"": ""forward_with_credit""}}",{SINCE},x
reg.in2,1,IN2,IN,*,"{{""gta_charge"": ""reverse""}}",{SINCE},x
reg.us.nj,1,US1,US,NJ,{{}},{SINCE},x
reg.us.mi,1,US1,US,MI,{{}},{SINCE},x
reg.us.md,1,US1,US,MD,{{}},{SINCE},x
reg.us.ma,1,US1,US,MA,{{}},{SINCE},x
reg.us.in,1,US1,US,IN,{{}},{SINCE},x
reg.us.ca,1,US1,US,CA,{{}},{SINCE},x
""",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("local")
    (root / "northland").mkdir()
    for name, text in NORTHLAND.items():
        (root / "northland" / name).write_text(text, encoding="utf-8")
    for name, text in COMPANY.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


def content_of(paths: Any) -> dict[str, str]:
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}


def schema_of(conn: psycopg.Connection[Any]) -> list[Any]:
    return conn.execute(
        """select table_schema, table_name, column_name, data_type, ordinal_position from information_schema.columns
           where table_schema in ('rules', 'decisions', 'desired', 'landing', 'ops', 'effects') order by 1, 2, 5"""
    ).fetchall()


@pytest.fixture(scope="module")
def made(postgres_server: Any, shaped_template: str, directory: Path) -> Iterator[tuple[str, str]]:
    """Loads the folder into a warehouse that was deployed without it; what is global stays as it was."""
    name = f"tax_{uuid.uuid4().hex[:12]}"
    create_database(postgres_server.admin_dsn, name, owner="freightsync_owner", template=shaped_template)
    provision.grant_warehouse(postgres_server.admin_dsn, name)
    owner = postgres_server.dsn("freightsync_owner", name)
    shared = [*(REPOSITORY / "dbt").rglob("*.sql"), *(REPOSITORY / "include" / "freightsync").rglob("*.*")]
    with psycopg.connect(owner) as conn:
        before = (
            content_of(shared),
            schema_of(conn),
            conn.execute("select * from rules.tax_rule order by 1, 2").fetchall(),
        )
    rules.load(owner, directory)
    with psycopg.connect(owner) as conn:
        kept = conn.execute("select * from rules.tax_rule where adapter <> 'northland' order by 1, 2").fetchall()
        assert (content_of(shared), schema_of(conn), kept) == before
    assert rules.load(owner, directory) == 0
    yield owner, postgres_server.dsn("freightsync_app", name)
    drop_database(postgres_server.admin_dsn, name)


@pytest.fixture
def conn(made: tuple[str, str]) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(made[1]) as connection:
        yield connection


def northland(on: date, **attributes: str) -> Question:
    return Question(
        seller_id="XN1",
        supply="goods",
        lines=[Line("1", "goods", D("100.00"), "standard"), Line("2", "freight", D("10.00"))],
        currency="XNK",
        tax_on=on,
        ship_from=Place("XN"),
        ship_to=Place("XN"),
        customer=Place("XN"),
        customer_status="business",
        carrier="own",
        attributes=attributes,
    )


def test_a_country_more_is_a_folder_more(conn: Any) -> None:
    answer = ask(conn, northland(date(2019, 12, 31), is_hunter="no"))
    assert [(x.tax_name, x.rate_percent, x.tax_amount) for x in answer.lines] == [
        ("King's levy", D("3.5"), D("3.50")),
        ("King's levy", D("3.5"), D("0.35")),
    ]
    answer = ask(conn, northland(date(2020, 1, 1), is_hunter="yes"))
    assert [(x.category, x.tax_amount, x.rule_id) for x in answer.lines] == [
        ("S", D("4.00"), "xn.goods"),
        ("E", D("0.00"), "xn.sledge.hunter"),
    ]
    with pytest.raises(TaxRefused, match=r"customer\.is_hunter"):
        ask(conn, northland(date(2020, 1, 1)))
    # and its neighbours are judged as before
    rng = random.Random(3)
    domestic = random_question(rng, "DE1", ship="DE", customer="DE", status="business", tax_id="DE111111125")
    assert ask(conn, domestic).lines


def test_its_folder_can_be_told_apart(directory: Path) -> None:
    assert [one.name for one in local.adapters([directory])] == ["eu", "in", "northland", "us"]


# -- a second reading -----------------------------------------------------------------------------------------------

HOME = {"XN1": ("XN", None), "DE1": ("DE", None), "US1": ("US", "IL"), "IN1": ("IN", "27"), "IN2": ("IN", "07")}
DECLARED = {"IN1": {"gta_charge": "forward_with_credit"}, "IN2": {"gta_charge": "reverse"}}
REGISTERED = {
    "US1": {("US", s) for s in ("NJ", "MI", "MD", "MA", "IN", "CA")},
    "IN1": {("IN", "*")},
    "IN2": {("IN", "*")},
}


def random_question(
    rng: random.Random, seller: str, *, ship: str = "", customer: str = "", status: str = "", tax_id: str | None = ""
) -> Question:
    home = HOME[seller][0]
    near = {"DE": "DE DE FR FI MT US GB", "US": "US US US US CA", "IN": "IN", "XN": "XN XN DE"}[home].split()
    regions = {"US": ["NJ", "MI", "MD", "MA", "IN", "OR", "NH", "IL", "CA"], "IN": ["27", "07"]}

    def place(country: str) -> Place:
        return Place(country, rng.choice(regions[country]) if country in regions else None, "07001")

    kinds = {
        "DE": ["standard", "reduced", "exempt", None],
        "US": ["standard", "exempt", "food"],
        "IN": ["steel", "milk"],
    }
    transport = home == "IN" or (home == "DE" and rng.random() < 0.5)
    lines = []
    if not transport:
        lines = [
            Line(f"{n} goods", "goods", amount(rng), rng.choice(kinds.get(home, ["standard"]) * 1))
            for n in range(rng.randint(1, 3))
        ]
    freight = amount(rng)
    cost = rng.choice([None, freight, freight - D("1.00")]) if freight > 2 else freight
    lines.append(
        Line(
            "9 freight",
            rng.choice(["freight", "freight", "accessorial"]),
            freight,
            rng.choice(kinds.get(home, ["standard"])) if transport else None,
            cost,
            rng.choice(["separate", "separate", "included"]),
        )
    )
    certificate = {"kind": "resale", "country": "US", "region": rng.choice(["NJ", "MI", "*"])}
    attributes = {
        "title_passes": rng.choice(["before_transport", "on_delivery"]),
        "pickup_option": rng.choice(["yes", "no"]),
        "recipient_kind": rng.choice(["individual", "body_corporate"]),
        "sole_consignment": rng.choice(["yes", "no"]),
        "is_hunter": rng.choice(["yes", "no"]),
    }
    for name in list(attributes):
        if rng.random() < 0.1:
            del attributes[name]
    good = {"DE": "DE111111125", "FR": "FR40303265045", "FI": "FI12345678", "IN": "27AAAAA0000A1Z5"}
    buyer = customer or rng.choice(near)
    return Question(
        seller_id=seller,
        supply="transport" if transport else "goods",
        lines=lines,
        currency="EUR",
        tax_on=date(2016, 1, 1) + timedelta(days=rng.randrange(365 * 11)),
        ship_from=place(ship or rng.choice([home, home, *near])),
        ship_to=place(ship or rng.choice(near)),
        customer=place(buyer),
        customer_status=status or rng.choice(["business", "business", "consumer", None]),
        customer_tax_id=tax_id if tax_id != "" else rng.choice([good.get(buyer), good.get(buyer), None, "XX1"]),
        certificates=[certificate] if rng.random() < 0.2 else [],
        attributes=attributes,
        carrier=rng.choice(["common", "own", None]),
    )


def amount(rng: random.Random) -> D:
    return D(rng.choice([rng.randrange(1, 200), rng.randrange(1, 10**7)])).scaleb(-2)


class Reading:
    """The adapters' files, read again by code of its own."""

    def __init__(self, directory: Path) -> None:
        folders = [p for p in (REPOSITORY / "include/freightsync/local").iterdir() if (p / "zones.csv").exists()]
        folders.append(directory / "northland")
        self.files: dict[str, list[dict[str, str]]] = {n: [] for n in ("zones", "rules", "rates", "identifiers")}
        for folder in folders:
            for name, rows in self.files.items():
                if (folder / f"{name}.csv").exists():
                    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as handle:
                        rows += [{**row, "adapter": folder.name} for row in csv.DictReader(handle)]

    def current(self, name: str, on: date) -> list[dict[str, str]]:
        newest: dict[str, dict[str, str]] = {}
        for row in self.files[name]:
            if date.fromisoformat(row["valid_from"]) <= on:
                known = newest.get(row["rule_id"])
                if known is None or int(known["rule_version"]) < int(row["rule_version"]):
                    newest[row["rule_id"]] = row
        return [r for r in newest.values() if not r.get("valid_to") or on <= date.fromisoformat(r["valid_to"])]

    def zones(self, country: str | None, on: date) -> list[str] | None:
        if country is None:
            return None
        return sorted({row["zone"] for row in self.current("zones", on) if row["country"] == country})

    def decide(self, q: Question, line: Line, taxability: str | None) -> tuple[str, Any]:
        """('rule', row) or (refusal, what)."""
        facts = self.facts(q, line)
        if taxability is not None:
            facts["goods.taxability"] = taxability
        home = HOME[q.seller_id][0]
        mine = [r for r in self.current("rules", q.tax_on) if r["adapter"] in (self.zones(home, q.tax_on) or [])]
        for row in sorted(mine, key=lambda r: (-int(r["priority"]), r["rule_id"])):
            if row.get("consideration_up_to") and line.amount > D(row["consideration_up_to"]):
                continue
            missing, failed = [], False
            for condition in row["conditions"].split(";"):
                name, values = condition.strip().split("=")
                fact = facts.get(name)
                if fact is None:
                    missing.append(name)
                    continue
                has = set(fact) if isinstance(fact, list) else {fact}
                wanted = set(values.lstrip("!").split("|"))
                failed = failed or (bool(has & wanted) == values.startswith("!"))
            if failed:
                continue
            if missing:
                return "facts_missing", sorted(missing)
            return ("refused", None) if row["treatment"] == "refused" else ("rule", row)
        return "no_rule", None

    def facts(self, q: Question, line: Line) -> dict[str, Any]:
        import re

        home, state = HOME[q.seller_id]

        def near(a: Place, b: Place) -> str | None:
            if a.country is None or b.country is None:
                return None
            if a.country != b.country:
                return "abroad"
            return "same_region" if a.region is not None and a.region == b.region else "same_country"

        patterns = [r["pattern"] for r in self.current("identifiers", q.tax_on) if r["country"] == q.customer.country]
        if q.customer_tax_id is None:
            number = "absent"
        elif not patterns:
            number = "unchecked"
        else:
            number = "valid" if re.search(patterns[0], q.customer_tax_id) else "malformed"
        held = [
            c["kind"]
            for c in q.certificates
            if c["country"] == q.ship_to.country and c["region"] in ("*", q.ship_to.region)
        ]
        there = REGISTERED.get(q.seller_id, set())
        is_there = any(c == q.ship_to.country and r in ("*", q.ship_to.region) for c, r in there)
        basis = None if line.cost is None else ("marked_up" if line.amount > line.cost else "actual")
        return {
            **{f"customer.{k}": v for k, v in q.attributes.items()},
            **{f"seller.{k}": v for k, v in DECLARED.get(q.seller_id, {}).items()},
            "supply": q.supply, "line.kind": line.kind, "line.stated": line.stated, "line.tax_class": line.tax_class,
            "line.basis": basis, "move.carrier": q.carrier, "move.arranged_by": q.arranged_by,
            "ship_from.country": q.ship_from.country, "ship_from.region": q.ship_from.region,
            "ship_from.zones": self.zones(q.ship_from.country, q.tax_on),
            "ship_to.country": q.ship_to.country, "ship_to.region": q.ship_to.region,
            "ship_to.zones": self.zones(q.ship_to.country, q.tax_on), "ship_to.is": near(q.ship_from, q.ship_to),
            "customer.country": q.customer.country, "customer.region": q.customer.region,
            "customer.zones": self.zones(q.customer.country, q.tax_on),
            "customer.is": near(Place(home, state), q.customer), "customer.status": q.customer_status,
            "customer.tax_id": number, "customer.certificate": held[0] if held else "none",
            "seller.country": home, "seller.region": state, "seller.zones": self.zones(home, q.tax_on),
            "seller.registered": "yes" if is_there else "no",
        }  # fmt: skip

    def taxes(self, q: Question) -> dict[str, Any]:
        """line → refusal, or the sorted (category, rate, exact tax) of its taxes."""
        out: dict[str, Any] = {}
        goods = [line for line in q.lines if line.kind == "goods"]
        decided = {line.line_id: self.decide(q, line, None) for line in goods}
        refused = [k for k, (what, _) in decided.items() if what != "rule"]
        whole = sum((line.amount for line in goods), D(0))
        taxed = sum(
            (
                x.amount
                for x in goods
                if decided[x.line_id][0] == "rule" and decided[x.line_id][1]["treatment"] == "taxed"
            ),
            D(0),
        )
        taxability = (
            None
            if refused
            else "no_goods"
            if not whole
            else "none"
            if not taxed
            else "all"
            if taxed == whole
            else "mixed"
        )
        for line in q.lines:
            what, row = decided.get(line.line_id) or self.decide(q, line, taxability)
            if what != "rule":
                out[line.line_id] = what
            elif row["treatment"] == "as_goods":
                if refused or not whole:
                    out[line.line_id] = "goods_missing"
                    continue
                shares = [(decided[x.line_id][1], line.amount * x.amount / whole) for x in goods]
                out[line.line_id] = self.sum_of(q, shares)
            elif row["treatment"] == "taxed_excess":
                assert line.cost is not None
                out[line.line_id] = self.sum_of(q, [({**row, "treatment": "taxed"}, line.amount - line.cost)])
            else:
                out[line.line_id] = self.sum_of(q, [(row, line.amount)])
        return out

    def sum_of(self, q: Question, shares: list[tuple[dict[str, str], D]]) -> Any:
        total = D(0)
        for row, base in shares:
            if row["treatment"] not in ("taxed", "reverse_charge") or not row.get("rate_class"):
                continue
            place = {"ship_to": q.ship_to, "ship_from": q.ship_from, "customer": q.customer}[row["place"]]
            rates = [
                D(r["rate_percent"])
                for r in self.current("rates", q.tax_on)
                if r["country"] == place.country
                and r["region"] in ("*", place.region)
                and r["rate_class"] == row["rate_class"]
            ]
            if not rates:
                return "no_rate"
            if row["treatment"] == "taxed":
                if row.get("local_rates", "none") != "none":
                    return "no_local_rate"
                total += base * sum(rates) / 100
        return total


def test_a_second_reading_comes_to_the_same(conn: Any, directory: Path) -> None:
    """10,000 questions would take minutes; 1,500 hit every adapter, treatment and refusal."""
    reading = Reading(directory)
    rng = random.Random(20260309)
    questions = [random_question(rng, rng.choice(list(HOME))) for _ in range(1500)]
    seen: dict[str, int] = {}
    for said, asked in zip(chunks(conn, questions), questions, strict=True):
        expected = reading.taxes(asked)
        found: dict[str, Any] = {}
        for row in said.rows:
            if row["refusal"] is not None:
                found[row["line_id"]] = row["refusal"]
            else:
                found[row["line_id"]] = found.get(row["line_id"], D(0)) + row["tax_amount"]
                seen[row["treatment"]] = seen.get(row["treatment"], 0) + 1
        assert found.keys() == expected.keys(), asked
        for line, tax in expected.items():
            if isinstance(tax, str):
                seen[tax] = seen.get(tax, 0) + 1
                assert found[line] == tax, (asked, line, said.rows)
            else:
                # a tax is rounded with its invoice's: each of a line's taxes and shares may be a cent off
                assert isinstance(found[line], D), (asked, line, found[line], tax)
                assert abs(found[line] - tax) < D("0.06"), (asked, line, found[line], tax)
        check_sums(asked, said)
    kinds = ["taxed", "not_taxed", "reverse_charge", "facts_missing", "no_rule", "refused", "no_rate", "goods_missing"]
    assert {kind: seen.get(kind, 0) for kind in kinds if seen.get(kind, 0) < 10} == {}


def chunks(conn: Any, questions: list[Question], size: int = 250) -> Iterator[Said]:
    for start in range(0, len(questions), size):
        yield from ask_many(conn, questions[start : start + size])


def check_sums(asked: Question, said: Said) -> None:
    """Parts sum to their line; tax is rounded once for each tax, category and rate, and lines sum to it to the cent."""
    if any(row["refusal"] is not None for row in said.rows):
        return
    parts = {(row["line_id"], row["part"]): row["taxable_base"] for row in said.rows}
    by_line: dict[str, D] = {}
    for (line, _), base in parts.items():
        by_line[line] = by_line.get(line, D(0)) + base
    assert by_line == {line.line_id: line.amount for line in asked.lines}
    groups: dict[Any, tuple[D, D]] = {}
    for row in said.rows:
        key = (row["jurisdiction"], row["tax_name"], row["category"], row["rate_percent"])
        base, tax = groups.get(key, (D(0), D(0)))
        groups[key] = (base + row["taxable_base"], tax + row["tax_amount"])
        exact = row["taxable_base"] * row["rate_percent"] / 100
        assert abs(row["tax_amount"] - exact) < D("0.01"), row
    for (_, _, _, rate), (base, tax) in groups.items():
        assert tax == (base * rate / 100).quantize(D("0.01"), ROUND_HALF_UP)
    answer = said.answer()
    assert answer.gross == answer.net + sum((tax for _, tax in groups.values()), D("0.00"))


def test_facts_that_rules_ask_are_facts_that_lines_have(made: tuple[str, str]) -> None:
    with psycopg.connect(made[0]) as owner:
        asked = {
            name
            for (conditions,) in owner.execute("select conditions from rules.tax_rule")
            for name in (conditions if isinstance(conditions, dict) else json.loads(conditions))
        }
    assert {"goods.taxability", "line.basis", "customer.certificate"} <= asked
