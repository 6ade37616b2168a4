"""Tax by country, asked through the port: worked examples with their sources, boundary days, refusals, rounding.

The expected figures are worked by hand from the sources that the rules name; rates as they were on the day.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import psycopg
import pytest

from freightsync import local, rules
from freightsync.local import Answer, Line, Place, Question, TaxRefused, ask
from freightsync.warehouse import provision
from freightsync.warehouse.embedded import create_database, drop_database

SELLERS = """rule_id,rule_version,seller_id,legal_name,street,city,postal_code,country,region,tax_id,registration_id,valid_from,recorded_at,recorded_by,note
seller.chi,1,CHI,Chicago Works Inc,1 Lake St,Chicago,60601,US,IL,36-1234567,36-1234567,2000-01-01,2000-01-01T00:00:00+00:00,test,x
seller.ham,1,HAM,Hamburg Spedition GmbH,Kai 1,Hamburg,20457,DE,,DE123456789,HRB 1,2000-01-01,2000-01-01T00:00:00+00:00,test,x
seller.pun,1,PUN,Pune Carriers,MG Rd 1,Pune,411001,IN,27,27ABCDE1234F1Z5,,2000-01-01,2000-01-01T00:00:00+00:00,test,x
seller.del,1,DEL,Delhi Carriers,Ring Rd 1,Delhi,110001,IN,07,07ABCDE1234F1Z5,,2000-01-01,2000-01-01T00:00:00+00:00,test,x
seller.mum,1,MUM,Mumbai Carriers,Dock Rd 1,Mumbai,400001,IN,27,27ABCDE9999F1Z5,,2000-01-01,2000-01-01T00:00:00+00:00,test,x
"""
STATES = "IL CA TX NY FL PA WA NJ OH GA MA MI IN MN MD VA CO MO".split()
REGISTRATIONS = """rule_id,rule_version,seller_id,country,region,tax_id,attributes,valid_from,recorded_at,recorded_by,note
reg.de,1,HAM,DE,*,DE123456789,{},2000-01-01,2000-01-01T00:00:00+00:00,test,x
reg.pun,1,PUN,IN,*,27ABCDE1234F1Z5,"{""gta_charge"": ""forward_with_credit""}",2000-01-01,2000-01-01T00:00:00+00:00,test,x
reg.del,1,DEL,IN,*,07ABCDE1234F1Z5,"{""gta_charge"": ""reverse""}",2000-01-01,2000-01-01T00:00:00+00:00,test,x
reg.mum,1,MUM,IN,*,27ABCDE9999F1Z5,"{""gta_charge"": ""forward_without_credit""}",2000-01-01,2000-01-01T00:00:00+00:00,test,x
""" + "".join(f"reg.{s.lower()},1,CHI,US,{s},,{{}},2000-01-01,2000-01-01T00:00:00+00:00,test,x\n" for s in STATES)
LOCAL = [
    ("60601", "IL", "Chicago", "4.0"),
    ("90001", "CA", "Los Angeles districts", "2.25"),
    ("75201", "TX", "Dallas", "2.0"),
    ("10001", "NY", "New York City", "4.875"),
    ("33101", "FL", "Miami-Dade", "1.0"),
    ("19019", "PA", "Philadelphia", "2.0"),
    ("98101", "WA", "Seattle", "3.85"),
    ("43004", "OH", "Franklin", "1.75"),
    ("30301", "GA", "Atlanta", "4.9"),
    ("55401", "MN", "Minneapolis", "2.15"),
    ("22301", "VA", "Northern Virginia", "1.7"),
    ("80201", "CO", "Denver", "5.91"),
    ("63101", "MO", "St. Louis", "5.454"),
]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    (folder / "tax_seller.csv").write_text(SELLERS, encoding="utf-8")
    (folder / "tax_registration.csv").write_text(REGISTRATIONS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(postgres_server: Any, shaped_template: str, company: Path) -> Iterator[tuple[str, str]]:
    name = f"tax_{uuid.uuid4().hex[:12]}"
    create_database(postgres_server.admin_dsn, name, owner="freightsync_owner", template=shaped_template)
    provision.grant_warehouse(postgres_server.admin_dsn, name)
    owner = postgres_server.dsn("freightsync_owner", name)
    rules.load(owner, company)
    with psycopg.connect(owner) as conn:
        conn.execute("insert into landing.batch (feed, run_id) values ('erp.tax_rate', 'test')")
        conn.execute(
            """insert into landing.document (batch_id, feed, partner, channel, name, content, content_sha256,
                 correlation_id, received_at, readable)
               select batch_id, feed, 'erp', 'api', 'rates', 'x', 'x', 'c', now(), true from landing.batch"""
        )
        for n, (postal, state, who, percent) in enumerate(LOCAL):
            conn.execute(
                """insert into landing.tax_rate (batch_id, document_id, ordinal, record_sha256, correlation_id, partner,
                     rate_id, version, changed_at, country, region, postal_code, jurisdiction, rate_class,
                     rate_percent, valid_from)
                   select batch_id, document_id, %s, %s, 'c', 'erp', %s, 1, now(), 'US', %s, %s, %s, 'standard', %s,
                     '2015-01-01' from landing.document""",
                (n + 1, str(n).encode(), f"R{n}", state, postal, who, percent),
            )
        conn.execute(
            """insert into quality.admission (feed, record_id, batch_id, origin)
               select 'erp.tax_rate', record_id, batch_id, 'gate' from landing.tax_rate"""
        )
    yield owner, postgres_server.dsn("freightsync_app", name)
    drop_database(postgres_server.admin_dsn, name)


@pytest.fixture
def conn(made: tuple[str, str]) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(made[1]) as connection:
        yield connection


CHICAGO = Place("US", "IL", "60601")
DAY = date(2026, 3, 9)


def us(state: str, postal: str, *lines: Line, **more: Any) -> Question:
    given: dict[str, Any] = {
        "seller_id": "CHI", "supply": "goods", "lines": lines, "currency": "USD", "tax_on": DAY,
        "ship_from": CHICAGO, "ship_to": Place("US", state, postal), "customer": Place("US", state, postal),
        "customer_status": "business", "carrier": "common",
    }  # fmt: skip
    return Question(**(given | more))


GOODS = Line("1 goods", "goods", D("1000.00"), "standard")
FOOD = Line("2 food", "goods", D("500.00"), "food")
EXEMPT = Line("3 exempt", "goods", D("500.00"), "exempt")
AT_COST = Line("9 freight", "freight", D("100.00"), cost=D("100.00"))
MARKED_UP = Line("9 freight", "freight", D("110.00"), cost=D("100.00"))


def freight(answer: Answer) -> tuple[D, D]:
    """What of the freight is taxed by some state, and all tax on it."""
    mine = [line for line in answer.lines if line.line_id.startswith("9")]
    taxed = {line.part: line.taxable_base for line in mine if line.treatment == "taxed"}
    return sum(taxed.values(), D(0)), sum((line.tax_amount for line in mine), D(0))


US_EXAMPLES = [
    # name, question, base of freight that is taxed, tax on freight
    ("CA at cost", us("CA", "90001", GOODS, AT_COST), "0", "0"),
    ("CA the excess: 10.00 at 7.25 + 2.25 %", us("CA", "90001", GOODS, MARKED_UP), "10.00", "0.95"),
    ("CA own truck", us("CA", "90001", GOODS, AT_COST, carrier="own", attributes={"title_passes": "on_delivery"}), "100.00", "9.50"),
    ("CA own truck after title", us("CA", "90001", GOODS, AT_COST, carrier="own", attributes={"title_passes": "before_transport"}), "0", "0"),
    ("TX as the goods, Dallas", us("TX", "75201", GOODS, AT_COST), "100.00", "8.25"),
    ("TX exempt goods", us("TX", "75201", EXEMPT, AT_COST), "0", "0"),
    ("NY taxable", us("NY", "10001", GOODS, AT_COST), "100.00", "8.88"),
    ("NY mixed is taxed whole", us("NY", "10001", GOODS, FOOD, AT_COST), "100.00", "8.88"),
    ("FL could pick up", us("FL", "33101", GOODS, AT_COST, attributes={"pickup_option": "yes"}), "0", "0"),
    ("FL could not", us("FL", "33101", GOODS, AT_COST, attributes={"pickup_option": "no"}), "100.00", "7.00"),
    ("IL agreed apart, at cost", us("IL", "60601", GOODS, AT_COST, attributes={"pickup_option": "yes"}), "0", "0"),
    ("IL agreed apart, the excess", us("IL", "60601", GOODS, MARKED_UP, attributes={"pickup_option": "yes"}), "10.00", "1.03"),
    ("IL part of the sale", us("IL", "60601", GOODS, AT_COST, attributes={"pickup_option": "no"}), "100.00", "10.25"),
    ("PA", us("PA", "19019", GOODS, AT_COST), "100.00", "8.00"),
    ("WA", us("WA", "98101", GOODS, AT_COST), "100.00", "10.35"),
    ("NJ mixed: two thirds", us("NJ", "07001", GOODS, FOOD, AT_COST), "66.67", "4.42"),
    ("NJ before 2006-10-01", us("NJ", "07001", GOODS, AT_COST, tax_on=date(2006, 9, 30)), "0", "0"),
    ("NJ from 2006-10-01, 7 %", us("NJ", "07001", GOODS, AT_COST, tax_on=date(2006, 10, 1)), "100.00", "7.00"),
    ("OH mixed", us("OH", "43004", GOODS, EXEMPT, AT_COST), "66.67", "5.00"),
    ("GA", us("GA", "30301", GOODS, AT_COST), "100.00", "8.90"),
    ("MA at cost after title", us("MA", "02101", GOODS, AT_COST, attributes={"title_passes": "before_transport"}), "0", "0"),
    ("MA on delivery", us("MA", "02101", GOODS, AT_COST, attributes={"title_passes": "on_delivery"}), "100.00", "6.25"),
    ("MI before 2023-04-26", us("MI", "48201", GOODS, AT_COST, tax_on=date(2023, 4, 25)), "100.00", "6.00"),
    ("MI from 2023-04-26", us("MI", "48201", GOODS, AT_COST, tax_on=date(2023, 4, 26)), "0", "0"),
    ("IN", us("IN", "46201", GOODS, AT_COST), "100.00", "7.00"),
    ("MN", us("MN", "55401", GOODS, AT_COST), "100.00", "9.03"),
    ("MD", us("MD", "21201", GOODS, AT_COST), "0", "0"),
    ("VA", us("VA", "22301", GOODS, AT_COST), "0", "0"),
    ("CO", us("CO", "80201", GOODS, AT_COST), "0", "0"),
    ("MO before 2017-08-28", us("MO", "63101", GOODS, AT_COST, tax_on=date(2017, 8, 27)), "100.00", "9.68"),
    ("MO from 2017-08-28", us("MO", "63101", GOODS, AT_COST, tax_on=date(2017, 8, 28)), "0", "0"),
    ("OR", us("OR", "97201", GOODS, AT_COST), "0", "0"),
    ("MT", us("MT", "59601", GOODS, AT_COST), "0", "0"),
    ("NH", us("NH", "03101", GOODS, AT_COST), "0", "0"),
    ("DE", us("DE", "19801", GOODS, AT_COST), "0", "0"),
    ("AK, not registered", us("AK", "99501", GOODS, AT_COST), "0", "0"),
    ("ID, not registered", us("ID", "83701", GOODS, AT_COST), "0", "0"),
    ("resale certificate", us("TX", "75201", GOODS, AT_COST, certificates=[{"kind": "resale", "country": "US", "region": "TX"}]), "0", "0"),
    ("certificate of another state", us("TX", "75201", GOODS, AT_COST, certificates=[{"kind": "resale", "country": "US", "region": "NY"}]), "100.00", "8.25"),
    ("certificate that has ended", us("TX", "75201", GOODS, AT_COST, certificates=[{"kind": "resale", "country": "US", "region": "TX", "valid_to": "2026-03-08"}]), "100.00", "8.25"),
    ("certificate on its last day", us("TX", "75201", GOODS, AT_COST, certificates=[{"kind": "resale", "country": "US", "region": "TX", "valid_to": "2026-03-09"}]), "0", "0"),
    ("within the price", us("MD", "21201", GOODS, Line("9 freight", "freight", D("100.00"), stated="included")), "100.00", "6.00"),
    ("handling", us("MD", "21201", GOODS, Line("9 handling", "accessorial", D("20.00"))), "20.00", "1.20"),
    ("export", us("ON", "M5V", GOODS, AT_COST, ship_to=Place("CA", "ON", "M5V")), "0", "0"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "base", "tax"), [e[1:] for e in US_EXAMPLES], ids=[e[0] for e in US_EXAMPLES])
def test_freight_in_the_united_states(conn: Any, question: Question, base: str, tax: str) -> None:
    answer = ask(conn, question)
    assert freight(answer) == (D(base), D(tax)), answer.lines
    assert conn.execute("select count(*) from ops.tax_question").fetchone() == (0,)
