"""Rules of the gate: read from expectations/, checked, and compiled to SQL.

A rule names what must not be: `unexpected` is a SQL predicate over a row `r` of the feed's table (or over a batch
`b`), true for a row that breaks it; null counts as kept. `not_null: column` and `in_set: {column: [values]}` are short
for the usual ones. `:name` in a predicate is a parameter of the rule; `:rows` is the relation of the rows that are
looked at, for a rule that asks about all of them at once (`r.record_id in (select … from :rows as c join …)`: lines of
a million records by one join instead of a million look-ups). A list of predicates means any of them. `words` tell a
person what is wrong and what to do; {column} in them stands for the row's value, and {name} for an SQL expression that
the rule gives under `shows`.

Feeds whose records are alike share rules: `like: _name.yaml` takes that file's, followed by the feed's own.

The files are the project's own, written by people with commit rights: predicates are trusted like code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from psycopg import sql

from freightsync.landing.feeds import FEEDS
from freightsync.landing.feeds import feed as feed_named

ROWS = ":rows"

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
EVERY_FEED = "_every_feed.yaml"

BATCH_COLUMNS = ("batch_id", "received", "landed", "rejected", "duplicates", "currencies_off")


class RuleError(ValueError):
    """A rules file that can't be understood: the message names file and rule."""


@dataclass(frozen=True)
class Rule:
    """One rule. name is the reason code that the quarantine shows.

    severity: `warning` quarantines the row, `info` only counts it, `critical` holds the whole batch.
    column, values: of a `not_null` (values None) or `in_set` rule.
    """

    name: str
    severity: Severity
    words: str
    unexpected: tuple[str, ...]
    column: str | None = None
    values: tuple[Any, ...] | None = None
    params: Mapping[str, Any] = field(default_factory=dict, hash=False)
    shows: Mapping[str, str] = field(default_factory=dict, hash=False)

    def predicates(self, rows: str) -> tuple[str, ...]:
        """Its predicates with their parameters written in, for any way of running them; a row that is true for one
        breaks the rule. rows: SQL of the relation of all rows that are looked at."""
        return tuple(_with_params(one, self.params).replace(ROWS, rows) for one in self.unexpected)

    def predicate(self, rows: str) -> str:
        """All of them as one."""
        return " or ".join(f"({one})" for one in self.predicates(rows))


@dataclass(frozen=True)
class FeedRules:
    """All that the gate asks of a feed. needs: feeds of which at least one record must have been admitted before."""

    feed: str
    rules: tuple[Rule, ...]
    batch_rules: tuple[Rule, ...]
    needs: tuple[str, ...] = ()


def load(directory: Path, feed: str) -> FeedRules:
    """The rules of one feed. Raises RuleError."""
    return _load(directory, feed)


@lru_cache(maxsize=256)
def _load(directory: Path, feed: str) -> FeedRules:
    feed_named(feed)
    path = directory / f"{feed}.yaml"
    document = _read(path, {"feed", "needs", "like", "rules"})
    if document.get("feed") != feed:
        raise RuleError(f"{path}: feed is {document.get('feed')!r}, not {feed!r}")
    entries = [(path, entry) for entry in document.get("rules") or ()]
    needs = list(document.get("needs") or ())
    if "like" in document:
        alike = directory / str(document["like"])
        if alike.parent != directory or not alike.name.startswith("_"):
            raise RuleError(f"{path}: like names a file of this directory that starts with _, not {document['like']!r}")
        common = _read(alike, {"needs", "rules"})
        entries = [(alike, entry) for entry in common.get("rules") or ()] + entries
        needs = [*(common.get("needs") or ()), *needs]
    for need in needs:
        if need not in FEEDS:
            raise RuleError(f"{path}: needs an unknown feed {need!r}")
    columns = {*feed_named(feed).column_names, "amount", "currency", "partner", "record_id", "position"}
    rules = tuple(_rule(place, entry, columns, "r") for place, entry in entries)
    shared = directory / EVERY_FEED
    batch_rules = tuple(
        _rule(shared, entry, set(BATCH_COLUMNS), "b") for entry in _read(shared, {"batch"}).get("batch") or ()
    )
    for place, found in ((path, rules), (shared, batch_rules)):
        names = [rule.name for rule in found]
        if len(names) != len(set(names)):
            raise RuleError(f"{place}: a rule's name occurs twice")
    return FeedRules(feed, rules, batch_rules, tuple(dict.fromkeys(needs)))


def _read(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RuleError(f"{path}: no rules file; a feed without rules is not admitted") from None
    except yaml.YAMLError as error:
        raise RuleError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise RuleError(f"{path}: not a mapping")
    unknown = set(document) - known
    if unknown:
        raise RuleError(f"{path}: unknown key {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    return document


_KEYS = {"name", "severity", "unexpected", "not_null", "in_set", "params", "words", "shows"}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_FIELD = re.compile(r"\{(\w+)\}")
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


def _rule(path: Path, entry: Any, columns: set[str], alias: str) -> Rule:
    if not isinstance(entry, dict):
        raise RuleError(f"{path}: a rule is not a mapping")
    name = str(entry.get("name", ""))
    where = f"{path}: rule {name or '(no name)'}"
    if not _NAME.match(name):
        raise RuleError(f"{where}: a name is lower case, digits and _")
    if unknown := set(entry) - _KEYS:
        raise RuleError(f"{where}: unknown key {', '.join(sorted(unknown))}")
    severity = entry.get("severity")
    if severity not in SEVERITIES:
        raise RuleError(f"{where}: severity is {severity!r}, not one of {', '.join(SEVERITIES)}")
    words = str(entry.get("words") or "").strip()
    if not words:
        raise RuleError(f"{where}: no words: what is wrong, and what is to be done?")
    shows = {str(key): str(value) for key, value in dict(entry.get("shows") or {}).items()}
    for key in shows:
        if key in columns or not _NAME.match(key):
            raise RuleError(f"{where}: shows {key!r}, which is a column, or no name")
    for named in _FIELD.findall(words):
        if named not in columns and named not in shows:
            raise RuleError(f"{where}: the words name {{{named}}}, which is no column")
    params = dict(entry.get("params") or {})
    if sum(key in entry for key in ("unexpected", "not_null", "in_set")) != 1:
        raise RuleError(f"{where}: exactly one of unexpected, not_null, in_set is needed")
    column: str | None = None
    values: tuple[Any, ...] | None = None
    if "not_null" in entry:
        column = str(entry["not_null"])
        unexpected = [f"{alias}.{column} is null"]
    elif "in_set" in entry:
        ((column, given),) = dict(entry["in_set"]).items()
        values = tuple(given)
        unexpected = [f"{alias}.{column} not in ({', '.join(_literal(value) for value in values)})"]
    else:
        given = entry["unexpected"]
        unexpected = [str(one).strip() for one in (given if isinstance(given, list) else [given])]
        used = {name for one in unexpected for name in _PARAMETER.findall(one)} - {ROWS[1:]}
        if used != set(params):
            raise RuleError(f"{where}: parameters used {sorted(used)} and given {sorted(params)} differ")
    if column is not None and column not in columns:
        raise RuleError(f"{where}: no column {column!r}")
    return Rule(name, cast(Severity, severity), words, tuple(unexpected), column, values, params, shows)


def _with_params(text: str, params: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        return _literal(params[match.group(1)]) if match.group(1) in params else match.group()

    return _PARAMETER.sub(value, text) if params else text


def _literal(value: Any) -> str:
    exact = Decimal(str(value)) if isinstance(value, float) else value
    return sql.Literal(exact).as_string(None).strip()


def words_sql(words: str, alias: str, shows: Mapping[str, str] | None = None) -> str:
    """An SQL expression for the rule's words about a row: {column} becomes its value, or `(none)`."""
    shows = shows or {}
    columns = _FIELD.findall(words)
    pattern = _FIELD.sub("%s", words.replace("%", "%%"))
    values = "".join(f", coalesce(({shows.get(name, f'{alias}.{name}')})::text, '(none)')" for name in columns)
    return f"format({_literal(pattern)}{values})"


def quoted(text: str) -> str:
    """A string literal of SQL."""
    return _literal(text)
