"""The roll-forward over random histories, against a plain addition of the same movements."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal as D
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shaped import ShapedWarehouse

from freightsync.pipelines import build

from .conftest import APRIL

pytestmark = pytest.mark.timeout(600)

RELATIONS = {
    "movement__accruals": "accrued",
    "movement__settlement": "reversed",
    "movement__accrual_releases": "released",
    "movement__ledger_adjustments": "adjusted",
    "movement__of_tomorrow": "adjusted",
}
MONTHS = ("2025-11", "2025-12", "2026-01", "2026-02", "2026-03")

movement = st.fixed_dictionaries(
    {
        "relation": st.sampled_from(sorted(RELATIONS)),
        "period": st.sampled_from(MONTHS),
        "moved_to": st.sampled_from([None, None, None, *MONTHS]),
        "scac": st.sampled_from(["A", "B", None]),
        "currency": st.sampled_from(["USD", "EUR"]),
        "cents": st.integers(1, 10**7),
        "owes": st.booleans(),
        "key": st.integers(0, 3),
    }
)

_INSERT = """
insert into effects.movement (plan_id, journal_id, relation, aggregate_type, aggregate_id, effect_key, cause,
  debit_account, credit_account, currency, amount, functional_currency, functional_amount, reverses, posted_on, period,
  target, document_type, lane, attributes)
values (uuidv7(), uuidv7(), %(relation)s, 'shipment', 'x', %(key)s, %(relation)s, %(debit)s, %(credit)s, %(currency)s,
  %(amount)s, 'USD', %(amount)s, false, %(on)s, %(period)s, 'erp', 'journal', 'bulk',
  jsonb_build_object('scac', %(scac)s::text))
returning journal_id
"""


def expected(history: list[dict[str, Any]]) -> dict[tuple[str, str, str], dict[str, D]]:
    """By period, carrier and currency, added up one by one."""
    rows: dict[tuple[str, str, str], dict[str, D]] = defaultdict(lambda: defaultdict(D))
    seen: set[tuple[str, str]] = set()
    for one in history:
        part = RELATIONS[one["relation"]]
        if part == "accrued":
            if (str(one["key"]), one["relation"]) in seen:
                part = "adjusted"
            seen.add((str(one["key"]), one["relation"]))
        amount = D(one["cents"]).scaleb(-2) * (1 if one["owes"] else -1)
        row = rows[one["moved_to"] or one["period"], one["scac"] or "(none)", one["currency"]]
        row[part] += -amount if part in ("reversed", "released") else amount
        row["moved"] += amount
    return rows


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(movement, min_size=1, max_size=40))
def test_each_period_opens_with_what_the_one_before_left(
    shaped: ShapedWarehouse, history: list[dict[str, Any]]
) -> None:
    with psycopg.connect(shaped.settings.dsn("owner")) as conn:
        for table in ("effects.movement", "effects.document_move"):
            conn.execute(f"alter table {table} disable trigger append_only")  # type: ignore[arg-type]
            conn.execute(f"delete from {table}")  # type: ignore[arg-type]
            conn.execute(f"alter table {table} enable trigger append_only")  # type: ignore[arg-type]
        for one in history:
            sides = {"debit": "6100", "credit": "2150"} if one["owes"] else {"debit": "2150", "credit": "6100"}
            given_ = {
                **one,
                **sides,
                "key": str(one["key"]),
                "amount": D(one["cents"]).scaleb(-2),
                "on": one["period"] + "-10",
            }
            (journal,) = conn.execute(_INSERT, given_).fetchone() or (None,)
            if one["moved_to"]:
                conn.execute(
                    """insert into effects.document_move (journal_id, posted_on, period, why, moved_by)
                       values (%s, %s, %s, 'x', 'x')""",
                    (journal, one["moved_to"] + "-01", one["moved_to"]),
                )
    build.run_dbt("run", ["fct_accrual_period"], shaped.settings, as_of=APRIL)
    found = {
        (row["period"], row["scac"], row["currency"]): row
        for row in shaped.rows("select * from marts.fct_accrual_period where account = '2150'")
    }
    wanted = expected(history)
    for key, parts in wanted.items():
        row = found[key]
        for name in ("accrued", "reversed", "released", "adjusted"):
            assert row[name] == parts[name], (key, name)
    balance: dict[tuple[str, str], D] = defaultdict(D)
    for period in (*MONTHS, "2026-04"):
        for scac, currency in {(s, c) for _, s, c in wanted}:
            row = found.get((period, scac, currency))
            moved = wanted[period, scac, currency]["moved"] if (period, scac, currency) in wanted else D(0)
            if row is None:
                assert (balance[scac, currency], moved) == (0, 0)
                continue
            assert row["opening"] == balance[scac, currency]
            balance[scac, currency] += moved
            assert row["closing"] == balance[scac, currency]
            assert (
                row["closing"] == row["opening"] + row["accrued"] - row["reversed"] - row["released"] + row["adjusted"]
            )
            assert (
                row["closing_functional"]
                == row["opening_functional"] + row["moved_functional"] + row["revalued_functional"]
            )
    assert sum(balance.values()) == sum(parts["moved"] for parts in wanted.values())
