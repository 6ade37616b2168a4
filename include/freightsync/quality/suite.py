"""The rules as a Great Expectations suite: the same predicates, for the verdict and the Data Docs that people read.

Importing this module imports Great Expectations (seconds, ~150 MB): only where it is asked for.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import psycopg

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
logging.getLogger("great_expectations").setLevel(logging.WARNING)

import great_expectations as gx  # noqa: E402
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult  # noqa: E402
from great_expectations.data_context.types.base import (  # noqa: E402
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.core.expect_column_values_to_be_in_set import (  # noqa: E402
    ExpectColumnValuesToBeInSet,
)
from great_expectations.expectations.core.expect_column_values_to_not_be_null import (  # noqa: E402
    ExpectColumnValuesToNotBeNull,
)
from great_expectations.expectations.core.unexpected_rows_expectation import (  # noqa: E402
    UnexpectedRowsExpectation,
)

from freightsync.domain.errors import PermanentError  # noqa: E402
from freightsync.landing.feeds import Feed  # noqa: E402
from freightsync.quality.gate import BATCHES, batch_statistics  # noqa: E402
from freightsync.quality.rules import FeedRules, Rule, words_sql  # noqa: E402

SHOWN_ROWS = 20


class ValidationFailed(PermanentError):
    """An expectation could not be evaluated at all: a mistake in a rule, or a relation that is missing."""


def new_context() -> Any:
    """An ephemeral context: nothing on disk, no analytics, no progress bars."""
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    context = gx.get_context(mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores))
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


class RowsThatBreakARule(UnexpectedRowsExpectation):
    """Asked once: the library's own would run every query twice, to count the rows and to fetch them all. Here the
    query counts (column COUNTED) and fetches as many as are shown."""

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        rows = [dict(row) for row in metrics["unexpected_rows_query.table"]]
        count = int(rows[0][COUNTED]) if rows else 0
        for row in rows:
            del row[COUNTED]
        return {
            "success": count == 0,
            "result": {"observed_value": count, "details": {"unexpected_rows": rows}},
        }


COUNTED = "rows_in_all"


def expectation_suite(feed: Feed, rules: FeedRules, batches: Sequence[int], *, shown_rows: int = SHOWN_ROWS) -> Any:
    """The feed's rules as expectations. The meta of each names its rule; its description are the rule's words."""
    suite = gx.ExpectationSuite(name=feed.name)
    for rule in rules.rules:
        suite.add_expectation(_row_expectation(feed, rule, batches, shown_rows))
    for rule in rules.batch_rules:
        statistics = batch_statistics(feed).replace(BATCHES, _array(batches))
        # GX wants every query to name its batch; the count only satisfies that
        query = (
            f"select b.*, {words_sql(rule.words, 'b', rule.shows)} as words, count(*) over () as {COUNTED}"
            f" from ({statistics}) b where ({rule.predicate('')}) and (select count(*) from "
        )
        suite.add_expectation(
            RowsThatBreakARule(
                unexpected_rows_query=_braced(query) + f"{{batch}}) >= 0 limit {int(shown_rows)}", **_about(rule)
            )
        )
    return suite


def validate(
    conn: psycopg.Connection[Any],
    feed: Feed,
    rules: FeedRules,
    batches: Sequence[int],
    *,
    shown_rows: int = SHOWN_ROWS,
) -> dict[str, Any]:
    """Validates the landed records of these batches over a connection of its own to the same database.

    Gives the validation result as JSON, with at most `shown_rows` rows a rule. Raises ValidationFailed where an
    expectation could not be evaluated: that is not a failed record.
    """
    context = new_context()
    suite = context.suites.add(expectation_suite(feed, rules, batches, shown_rows=shown_rows))
    source = context.data_sources.add_postgres("warehouse", connection_string=_url(conn))
    try:
        asset = source.add_query_asset(
            feed.name, query=f"select * from landing.{feed.table} where batch_id = any({_array(batches)})"
        )
        batch = asset.add_batch_definition_whole_table("ungated").get_batch()
        result = batch.validate(
            suite,
            result_format={
                "result_format": "COMPLETE",
                "partial_unexpected_count": shown_rows,
                "unexpected_index_column_names": ["record_id"],
            },
        )
    finally:
        source.get_engine().dispose()
    return shown(result, rules, shown_rows)


def shown(result: ExpectationSuiteValidationResult, rules: FeedRules, shown_rows: int) -> dict[str, Any]:
    """The result as JSON: in the order of the rules, long lists cut."""
    document: dict[str, Any] = result.to_json_dict()  # type: ignore[no-untyped-call]
    order = [rule.name for rule in (*rules.rules, *rules.batch_rules)]
    document["results"].sort(key=lambda one: order.index(rule_of(one)))
    for one in document["results"]:
        raised = one["exception_info"]
        if raised.get("raised_exception", True):
            first = raised if "exception_message" in raised else next(iter(raised.values()))
            raise ValidationFailed(
                f"rule {rule_of(one)} could not be evaluated: {str(first.get('exception_message'))[:500]}",
                document=str(document.get("suite_name")),
                what_to_do="mend the predicate in the feed's file under expectations/, or build what it reads",
            )
        details = one["result"]
        details.pop("unexpected_index_query", None)
        for name in ("unexpected_list", "unexpected_index_list", "partial_unexpected_list"):
            if isinstance(details.get(name), list):
                details[name] = details[name][:shown_rows]
        rows = details.get("details", {}).get("unexpected_rows")
        if isinstance(rows, list):
            details["details"]["unexpected_rows"] = rows[:shown_rows]
    return document


def rule_of(result: Mapping[str, Any]) -> str:
    """The rule that a result (as JSON) belongs to."""
    return str(result["expectation_config"]["meta"]["rule"])


def counts(document: Mapping[str, Any]) -> dict[str, int]:
    """Rule -> how many rows broke it, from a validation result as JSON."""
    out = {}
    for one in document["results"]:
        found = one["result"].get("unexpected_count", one["result"].get("observed_value"))
        out[rule_of(one)] = int(found or 0)
    return out


def _row_expectation(feed: Feed, rule: Rule, batches: Sequence[int], shown_rows: int) -> Any:
    about = _about(rule)
    if rule.column is not None and rule.values is not None:
        return ExpectColumnValuesToBeInSet(column=rule.column, value_set=list(rule.values), **about)
    if rule.column is not None:
        return ExpectColumnValuesToNotBeNull(column=rule.column, **about)
    rows = f"(select * from landing.{feed.table} where batch_id = any({_array(batches)}))"
    broken = " union ".join(
        f"select r.record_id from {rows} r where ({predicate})" for predicate in rule.predicates(rows)
    )
    head = (
        f"select r.record_id, {feed.natural_key} as natural_key, {words_sql(rule.words, 'r', rule.shows)} as words,"
        f" count(*) over () as {COUNTED}"
    )
    return RowsThatBreakARule(
        unexpected_rows_query=_braced(head)
        + " from (select * from {batch}) r where "
        + _braced(f"({rule.predicate(rows)})" if len(rule.unexpected) == 1 else f"r.record_id in ({broken})")
        + f" order by 1 limit {int(shown_rows)}",
        **about,
    )


def _about(rule: Rule) -> dict[str, Any]:
    words = f"{rule.name.replace('_', ' ')} ({rule.severity}): {_FIELD.sub(_shown_field, rule.words)}"
    return {"severity": rule.severity, "description": words, "meta": {"rule": rule.name}}


_FIELD = re.compile(r"\{(\w+)\}")


def _shown_field(field: re.Match[str]) -> str:
    """{ship_to_id}, which stands for a row's value, as [ship to id]."""
    return f"[{field.group(1).replace('_', ' ')}]"


def _braced(text: str) -> str:
    """Braces of SQL itself: GX formats the query."""
    return text.replace("{", "{{").replace("}", "}}")


def _array(batches: Sequence[int]) -> str:
    return f"array[{','.join(str(int(batch)) for batch in batches)}]::bigint[]"


def _url(conn: psycopg.Connection[Any]) -> str:
    info = conn.info
    return (
        f"postgresql+psycopg://{quote(info.user, safe='')}:{quote(info.password, safe='')}"
        f"@{info.host}:{info.port}/{quote(info.dbname, safe='')}?application_name=freightsync-expectations"
    )
