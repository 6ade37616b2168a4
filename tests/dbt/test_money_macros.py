"""The macros that split and translate money, against exact fractions."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shaped import ShapedWarehouse

from freightsync.pipelines import build

EXAMPLES = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
CENT = Decimal("0.01")


@pytest.fixture
def compiled(shaped: ShapedWarehouse) -> Callable[[str], str]:
    """The SQL that a piece of a model becomes."""

    def compile_(text: str) -> str:
        from dbt.cli.main import dbtRunner

        with build._environment(shaped.settings):
            outcome = dbtRunner(manifest=build.load_manifest(shaped.settings)).invoke(
                [*build._arguments("compile", shaped.settings, "macros"), "--inline", text]
            )
        assert outcome.success, outcome.exception
        return str(outcome.result.results[0].node.compiled_code)

    return compile_


@pytest.fixture
def conn(shaped: ShapedWarehouse) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(shaped.settings.dsn("dbt"), autocommit=True) as connection:
        yield connection


def fill(conn: psycopg.Connection[Any], table: str, columns: str, rows: Sequence[tuple[Any, ...]]) -> None:
    conn.execute(f"drop table if exists {table}; create temp table {table} ({columns})".encode())
    with conn.cursor() as cursor, cursor.copy(f"copy {table} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)


# ------------------------------------------------------------------------------------------------------ allocation

amounts = st.one_of(st.integers(-20, 20), st.integers(-1_000_000, 1_000_000), st.integers(-(10**17), 10**17)).map(
    lambda cents: Decimal(cents) / 100
)
measures = st.one_of(
    st.just(Decimal(0)),
    st.integers(1, 3).map(Decimal),
    st.integers(0, 10**9).map(lambda n: Decimal(n) / 1000),
    st.integers(1, 10**15).map(Decimal),
)
wholes = st.lists(st.tuples(amounts, st.lists(measures, min_size=1, max_size=7)), min_size=1, max_size=8)


def expected_shares(amount: Decimal, parts: Sequence[Decimal]) -> list[int]:
    """In cents: towards zero, the rest to the largest, of several to the first."""
    counted = [Fraction(part) for part in parts] if any(parts) else [Fraction(1)] * len(parts)
    cents = int(amount * 100)
    exact = [Fraction(cents) * part / sum(counted) for part in counted]
    shares = [int(share) for share in exact]
    residue = max(range(len(parts)), key=lambda n: (abs(shares[n]), -n))
    shares[residue] += cents - sum(shares)
    for n, share in enumerate(shares):
        assert n == residue or abs(share - exact[n]) < 1
    return shares


@pytest.mark.timeout(600)
def test_shares_sum_and_lie_within_a_cent_of_their_exact_part(
    compiled: Callable[[str], str], conn: psycopg.Connection[Any]
) -> None:
    query = compiled(
        "select whole, part_key, share from {{ allocated('given', ['whole'], ['part_key'], 'part', "
        "{'amount': 'share', 'other': 'other_share'}) }} as shares order by 1, 2"
    )

    @EXAMPLES
    @given(wholes)
    def check(found: list[tuple[Decimal, list[Decimal]]]) -> None:
        rows = [
            (number, key, part, amount, -amount)
            for number, (amount, parts) in enumerate(found)
            for key, part in enumerate(parts)
        ]
        fill(conn, "given", "whole int, part_key int, part numeric, amount numeric(18,2), other numeric(18,2)", rows)
        expected = [
            (number, key, Decimal(share) / 100)
            for number, (amount, parts) in enumerate(found)
            for key, share in enumerate(expected_shares(amount, parts))
        ]
        assert conn.execute(query.encode()).fetchall() == expected

    check()


@pytest.mark.timeout(600)
def test_a_part_that_is_not_known_makes_all_parts_equal(
    compiled: Callable[[str], str], conn: psycopg.Connection[Any]
) -> None:
    query = compiled(
        "select share from {{ allocated('given', ['whole'], ['part_key'], 'part', {'amount': 'share'}) }} as shares "
        "order by part_key"
    )
    for unusable in (None, Decimal(-1)):
        fill(
            conn,
            "given",
            "whole int, part_key int, part numeric, amount numeric(18,2)",
            [(1, 1, Decimal(500), Decimal("10.00")), (1, 2, unusable, Decimal("10.00")), (1, 3, 1, Decimal("10.00"))],
        )
        found = [row[0] for row in conn.execute(query.encode())]
        assert found == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]


# ------------------------------------------------------------------------------------------------------ currency


def half_up(amount: Fraction) -> Decimal:
    return (Decimal(amount.numerator) / Decimal(amount.denominator)).quantize(CENT, ROUND_HALF_UP)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Decimal, Decimal, list[Decimal]]:
    """What was accrued, in both currencies, and how far each bill had taken it back: up, and down again by credits."""
    sign = draw(st.sampled_from([1, -1]))
    cents = draw(st.integers(1, 10**9))
    rate = Fraction(draw(st.integers(1, 10**9)), 10**6)
    functional = half_up(Fraction(cents, 100) * rate) * sign
    steps = [Decimal(n) / 100 * sign for n in draw(st.lists(st.integers(0, cents), max_size=6))]
    return Decimal(cents) / 100 * sign, functional, steps


@pytest.mark.timeout(600)
def test_a_reversal_goes_at_the_original_rate_and_is_exact_when_complete(
    compiled: Callable[[str], str], conn: psycopg.Connection[Any]
) -> None:
    query = compiled(
        "select {{ functional_step('amount', 'functional', 'before', 'after') }} as part from given order by step"
    )

    @EXAMPLES
    @given(histories())
    def check(found: tuple[Decimal, Decimal, list[Decimal]]) -> None:
        amount, functional, reached = found
        places = [Decimal(0), *reached, amount]
        rows = [(n, amount, functional, before, after) for n, (before, after) in enumerate(itertools.pairwise(places))]
        numeric = "step int, amount numeric(18,2), functional numeric(18,2), before numeric(18,2), after numeric(18,2)"
        fill(conn, "given", numeric, rows)
        parts = [row[0] for row in conn.execute(query.encode())]
        assert sum(parts) == functional
        for (_, _, _, before, after), part in zip(rows, parts, strict=True):
            exact = Fraction(functional) * Fraction(after - before) / Fraction(amount)
            assert abs(Fraction(part) - exact) <= Fraction(1, 100)
        assert not any(part for (_, _, _, before, after), part in zip(rows, parts, strict=True) if before == after)

    check()


WORKED = [
    # accrued, in the books, taken back before and after, the bill's rate: reversal, worth at the bill, difference
    ("100.00", "110.00", "0", "100.00", "1.15", "110.00", "115.00", "5.00", ("7150", "6100")),
    ("100.00", "110.00", "0", "60.00", "1.15", "66.00", "69.00", "3.00", ("7150", "6100")),
    ("100.00", "110.00", "60.00", "100.00", "1.05", "44.00", "42.00", "-2.00", ("6100", "7100")),
    # a credit gives back 6.00 of what was reversed
    ("100.00", "110.00", "100.00", "94.00", "1.20", "-6.60", "-7.20", "-0.60", ("6100", "7100")),
    # nothing was accrued: nothing to take back, nothing to compare
    ("0.00", "0.00", "0", "0", "1.15", "0", "0.00", "0.00", None),
]


@pytest.mark.timeout(600)
def test_the_exchange_difference_of_a_bill_leaves_expense_for_its_own_account(
    compiled: Callable[[str], str], conn: psycopg.Connection[Any]
) -> None:
    """EUR 100.00 accrued at 1.10 and billed at 1.15: the reversal takes back 110.00, the payable is 115.00; 5.00 of the
    expense is an exchange loss."""
    query = compiled(
        """
        select reversed, billed, difference,
            case when difference <> 0 then {{ exchange_difference_debit('difference', "'6100'", "'7150'") }} end,
            case when difference <> 0 then {{ exchange_difference_credit('difference', "'6100'", "'7100'") }} end
        from (
            select *, {{ exchange_difference('reversed', 'billed') }} as difference from (
                select given.*, {{ functional_step('amount', 'functional', 'before', 'after') }} as reversed,
                    {{ functional_amount('(after - before)', "'EUR'", "'USD'", 'rate') }} as billed
                from given
            ) as translated
        ) as compared order by step
        """
    )
    numeric = "numeric(18,2)"
    fill(
        conn,
        "given",
        f"step int, amount {numeric}, functional {numeric}, before {numeric}, after {numeric}, rate numeric(20,10)",
        [(n, *row[:5]) for n, row in enumerate(WORKED)],
    )
    found = conn.execute(query.encode()).fetchall()
    assert [tuple(row[:3]) for row in found] == [tuple(map(Decimal, row[5:8])) for row in WORKED]
    assert [row[3:] if row[3] else None for row in found] == [row[8] for row in WORKED]


# ------------------------------------------------------------------------------------------------------ which rate

DAY = dt.date(2026, 3, 1)
T0 = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
publications = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.sampled_from(["corporate", "ECB"])), max_size=12
)
"""day, when we heard of it, source"""
questions = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=12)
"""day, when it was decided, how many days back a rate may be"""


def expected_rate(known: list[tuple[int, int, str]], on: int, decided: int, back: int) -> int | None:
    """Number of the publication, counted from 1, that a person would take from the list."""
    fitting = [
        (n, day, heard)
        for n, (day, heard, source) in enumerate(known, 1)
        if source == "corporate" and on - back <= day <= on
    ]
    then = [one for one in fitting if one[2] <= decided]
    if then:
        return max(then, key=lambda one: (one[1], one[0]))[0]
    if not fitting:
        return None
    first = min(one[2] for one in fitting)
    return max((one for one in fitting if one[2] == first), key=lambda one: (one[1], one[0]))[0]


@pytest.mark.timeout(600)
def test_the_rate_is_the_newest_known_then_else_the_first_that_comes(
    compiled: Callable[[str], str], shaped: ShapedWarehouse, conn: psycopg.Connection[Any]
) -> None:
    """Against every publication in question; and what was decided stays so, whatever is published later."""
    query = compiled(
        """
        with keys as (
            select 'EUR' as currency, 'USD' as functional_currency, 'corporate' as rate_source, rate_max_age_days,
                rate_on, {{ exchange_rate_known('known_at') }} as rate_epoch, min(known_at) as known_at
            from given group by 1, 2, 3, 4, 5, 6
        ), rates as ({{ exchange_rates_for('keys') }})
        select rates.exchange_rate_version
        from given
        left join rates on rates.rate_max_age_days = given.rate_max_age_days
            and rates.rate_on = given.rate_on and rates.rate_epoch = {{ exchange_rate_known('given.known_at') }}
        order by given.number
        """
    )
    conn.execute("truncate canonical.exchange_rate")

    @EXAMPLES
    @given(publications, questions, st.integers(0, 12))
    def check(known: list[tuple[int, int, str]], asked: list[tuple[int, int, int]], first: int) -> None:
        known = sorted(known, key=lambda one: one[1])
        conn.execute("truncate canonical.exchange_rate")
        answers = []
        fill(
            conn,
            "given",
            "number int, rate_on date, known_at timestamptz, rate_max_age_days int",
            [
                (n, DAY + dt.timedelta(days=on), T0 + dt.timedelta(hours=decided, minutes=30), back)
                for n, (on, decided, back) in enumerate(asked)
            ],
        )
        for part in (range(min(first, len(known))), range(min(first, len(known)), len(known))):
            with conn.cursor() as cursor:
                cursor.executemany(
                    """insert into canonical.exchange_rate (record_id, exchange_rate_id, version, from_currency,
                         to_currency, source, rate, rate_on, changed_at, known_at, changed_in_run)
                       values (%s, 'r', %s, 'EUR', 'USD', %s, %s, %s, %s, %s, '')""",
                    [
                        (
                            n + 1,
                            n + 1,
                            known[n][2],
                            n + 1,
                            DAY + dt.timedelta(days=known[n][0]),
                            T0,
                            T0 + dt.timedelta(hours=known[n][1]),
                        )
                        for n in part
                    ],
                )
            answers.append([row[0] for row in conn.execute(query.encode())])
        early, late = answers
        heard = max((known[n][1] for n in range(min(first, len(known)))), default=-1)
        assert late == [expected_rate(known, *one) for one in asked]
        # what was known when it was decided, once and for all: publications heard of later change nothing
        for (_, decided, _), before, after in zip(asked, early, late, strict=True):
            if before is not None and all(one[1] > max(heard, decided) for one in known[first:]):
                assert before == after

    check()
