"""Rules are data: dated, versioned rows in schema `rules`. The files beside this module bootstrap them.

May import: warehouse, local, domain. Country adapters (`freightsync.local`) bring the rules of tax. A later change is a
new row (next `rule_version`, `recorded_at` of the day it was known): what was decided before keeps the version that was
known when its document was admitted.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from freightsync.domain.errors import PermanentError
from freightsync.local import adapters

BOOTSTRAP = Path(__file__).parent
TABLES = (
    "tolerance",
    "billing_policy",
    "accrual_policy",
    "cost_policy",
    "settlement_policy",
    "self_billing_policy",
    "input_tax_policy",
    "match_profile",
    "lane_specificity",
    "allocation_policy",
    "currency_policy",
    "dispute_reason",
    "cutoff",
    "close_check",
    "accrual_release",
    "approval_limit",
    "approver",
    "payment_policy",
    "bank_account",
    "invoice_pattern",
    "payment_tolerance",
    "payment_terms",
    "correction_policy",
    "credit_reason",
    "pass_on_policy",
    "tax_policy",
)
"""Those with a bootstrap file. Who pays under which account or name (`payer`) is known to the company alone."""
COMPANY_TABLES = (
    "tax_policy",
    "tax_seller",
    "tax_registration",
    "cost_policy",
    "self_billing_policy",
    "input_tax_policy",
    # what its contracts with carriers say
    "settlement_policy",
    "tolerance",
    "carrier_alias",
)
"""What only the company can say: its own files, `<local directory>/<table>.csv`."""


REFUSED = {
    "outbound_freight_is_never_inventoried": (
        "makes freight landed cost that is not inbound: what it takes to reach a customer is no cost of the goods",
        "write direction inbound, or treatment cogs or expense",
    ),
    "cost_of_goods_needs_its_account": (
        "names no cost_account, which only an expense may leave to the charge code map",
        "name the account that is debited",
    ),
    "landed_cost_needs_an_account_for_goods_sold": (
        "says landed_cost without a sold_account, or names one beside another treatment",
        "name the account for the share of goods that are sold already, with landed_cost only",
    ),
}
"""Constraint of the warehouse -> what is wrong with the rule, and what to do."""


class RuleRefused(PermanentError):
    """A rule that says what no rule may say."""


class RuleChanged(Exception):
    """A bootstrap file says something else than the recorded version of a rule: versions are never rewritten."""


def load(owner_dsn: str, local_directory: Path | None = None) -> int:
    """Appends the bootstrap rules, the country adapters' and the company's own that are not recorded yet; returns how
    many. Safe to repeat.

    `local_directory`: further country adapters, a folder each, and the company's own files (COMPANY_TABLES).
    Raises RuleChanged naming the rule whose recorded version differs from the file: give the change a new version;
    RuleRefused naming one that no rule may say.
    AdapterInvalid where an adapter breaks a rule of the house; then nothing is recorded.
    """
    countries = adapters([local_directory] if local_directory is not None else [])
    added = 0
    with psycopg.connect(owner_dsn) as connection:
        connection.execute("select pg_advisory_xact_lock(hashtext('freightsync rules'))")
        for table in TABLES:
            added += _append(connection, table, _read(BOOTSTRAP / f"{table}.csv"))
        for adapter in countries:
            for table, rows in adapter.tables.items():
                added += _append(connection, table, rows)
        for table in COMPANY_TABLES if local_directory is not None else ():
            if (local_directory / f"{table}.csv").is_file():  # type: ignore[operator]
                added += _append(connection, table, _read(local_directory / f"{table}.csv"))  # type: ignore[operator]
    return added


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def _append(connection: psycopg.Connection, table: str, rows: Sequence[Mapping[str, str]]) -> int:
    if not rows:
        return 0
    columns = list(rows[0])
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    given = sql.Identifier(f"given_{table}")
    target = sql.Identifier("rules", table)
    # through a table of the same types, so that 5.00 in the file equals 5.00 as stored
    connection.execute(sql.SQL("drop table if exists {}").format(given))
    connection.execute(
        sql.SQL("create temporary table {} (like {} including defaults) on commit drop").format(given, target)
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            sql.SQL("insert into {} ({}) values ({})").format(
                given, names, sql.SQL(", ").join([sql.Placeholder()] * len(columns))
            ),
            [[row[column] or None for column in columns] for row in rows],
        )
        cursor.execute(
            sql.SQL(
                "select rule_id, rule_version from (select {0} from {1} except select {0} from {2}) as other"
                " where exists (select 1 from {2} as known where known.rule_id = other.rule_id"
                " and known.rule_version = other.rule_version)"
            ).format(names, given, target)
        )
        if changed := cursor.fetchone():
            raise RuleChanged(
                f"{table}.csv changes {changed[0]} version {changed[1]}, which is recorded already;"
                f" add a row with rule_version {int(changed[1]) + 1} and its own recorded_at"
            )
        try:
            cursor.execute(
                sql.SQL(
                    "insert into {2} ({0}) select {0} from {1} on conflict (rule_id, rule_version) do nothing"
                ).format(names, given, target)
            )
        except psycopg.errors.CheckViolation as error:
            constraint = str(error.diag.constraint_name)
            # the row as PostgreSQL shows it begins with the rule's id and version
            named = re.match(r"Failing row contains \((.*?), (\d+), ", error.diag.message_detail or "")
            words, what_to_do = REFUSED.get(constraint, (f"breaks {constraint}", "correct the file"))
            raise RuleRefused(
                f"{named[1]} version {named[2]} {words}" if named else words,
                document=f"{table}.csv",
                what_to_do=what_to_do,
            ) from error
        return cursor.rowcount
