"""Data Docs: what every gate run found, feed by feed, as pages that a steward opens from disk, without a network.

The contents are Great Expectations' own renderings of suites and validation results; the frame around them is ours,
because its own one loads style and scripts from public servers. Importing this module imports Great Expectations.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from freightsync.landing.feeds import FEEDS
from freightsync.landing.feeds import feed as feed_named
from freightsync.quality import suite as expectations
from freightsync.quality.rules import EVERY_FEED, load
from freightsync.settings import Settings
from freightsync.settings import settings as current_settings

# after `suite`, which quiets it
from great_expectations.core.expectation_validation_result import (  # isort: skip
    expectationSuiteValidationResultSchema,
)
from great_expectations.render.renderer.page_renderer import (  # isort: skip
    ExpectationSuitePageRenderer,
    ValidationResultsPageRenderer,
)
from great_expectations.render.view.view import DefaultJinjaPageView  # isort: skip

STYLE = "data_docs.css"
KEPT_RUNS = 20
"""Gate runs shown for each feed, newest first."""


@dataclass(frozen=True)
class Built:
    """Where the site is, and how many pages it has."""

    index: Path
    pages: int


def build(
    conn: psycopg.Connection[Any],
    out_dir: Path | None = None,
    *,
    settings: Settings | None = None,
    kept_runs: int = KEPT_RUNS,
) -> Built:
    """Writes the site: index.html, a page for each of the last gate runs of each feed, and one for each feed's rules.

    out_dir: `<home>/data_docs` if not given. What is there already is not made again. The database is only read. Safe
    to run twice at once: each file is put in place whole.
    """
    settings = settings or current_settings()
    out_dir = out_dir or settings.home / "data_docs"
    expectations.new_context()  # suites can't be made without one, and this process may not have gated anything
    runs = _runs(conn, kept_runs)
    for run in runs:
        place = out_dir / "runs" / f"{run['gate_id']}.html"
        made = f"<!-- {run['feed']} {run['gated_at'].isoformat()} -->"
        if not _starts_with(place, made):
            _write(place, made + _run_page(run))
    for name in FEEDS:
        place = out_dir / "rules" / f"{name}.html"
        made = f"<!-- {_fingerprint(name, settings.expectations)} -->"
        if not _starts_with(place, made):
            _write(place, made + _rules_page(name, settings.expectations))
    kept = {f"{run['gate_id']}.html" for run in runs}
    for old in (out_dir / "runs").glob("*.html"):
        if old.name not in kept:
            old.unlink(missing_ok=True)
    index = out_dir / "index.html"
    _write(index, _index_page(runs, _totals(conn), _open_quarantine(conn)))
    return Built(index, len(runs) + len(FEEDS) + 1)


def _starts_with(place: Path, text: str) -> bool:
    """Whether the page there was made from the same (a fresh warehouse counts its runs from 1 again)."""
    try:
        with place.open(encoding="utf-8") as file:
            return file.read(len(text)) == text
    except FileNotFoundError:
        return False


def _fingerprint(name: str, directory: Path) -> str:
    digest = hashlib.sha256()
    for path in (directory / f"{name}.yaml", directory / EVERY_FEED, Path(__file__), Path(__file__).parent / STYLE):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _runs(conn: psycopg.Connection[Any], kept: int) -> list[dict[str, Any]]:
    with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(
            """
            select * from (
                select gate_id, feed, run_id, gated_at, verdict, received, accepted, quarantined, results,
                       row_number() over (partition by feed order by gate_id desc) as place
                from quality.gate
            ) newest where place <= %s order by feed, gate_id desc
            """,
            (kept,),
        ).fetchall()


def _totals(conn: psycopg.Connection[Any]) -> dict[str, tuple[int, int, int, int]]:
    """feed -> received, admitted, quarantined, duplicate: of all that was ever gated, not of the runs with a page."""
    with conn.transaction():
        return {
            feed: (received, accepted, quarantined, duplicate)
            for feed, received, accepted, quarantined, duplicate in conn.execute(
                """
                select feed, sum(received)::bigint, sum(accepted)::bigint, sum(quarantined)::bigint,
                       sum(duplicate)::bigint
                from ops.control_total_check where gated group by feed
                """
            )
        }


def _open_quarantine(conn: psycopg.Connection[Any]) -> dict[str, dict[str, int]]:
    """feed -> reason -> records that wait in quarantine."""
    out: dict[str, dict[str, int]] = {}
    with conn.transaction():
        for feed, reason, count in conn.execute(
            """
            select feed, reason, count(*) from quality.quarantine q cross join lateral unnest(q.reasons) as reason
            where not exists (select from quality.release r where r.quarantine_id = q.quarantine_id)
            group by 1, 2 order by 1, 3 desc, 2
            """
        ):
            out.setdefault(feed, {})[reason] = count
    return out


# ---------------------------------------------------------------------------------------------------- pages


def _index_page(
    runs: Sequence[Mapping[str, Any]],
    totals: Mapping[str, tuple[int, int, int, int]],
    waiting: Mapping[str, Mapping[str, int]],
) -> str:
    newest: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        newest.setdefault(run["feed"], run)
    rows = []
    for name in FEEDS:
        last = newest.get(name)
        reasons = ", ".join(f"{_plain(reason)} ({count})" for reason, count in waiting.get(name, {}).items())
        if last is None:
            cells = ["<td colspan='6' class='quiet'>nothing received yet</td>"]
        else:
            cells = [
                f"<td><a href='runs/{last['gate_id']}.html'>{_verdict(last['verdict'])}</a></td>",
                f"<td class='whole'>{_when(last['gated_at'])}</td>",
                *(f"<td class='number'>{count:,}</td>" for count in totals.get(name, (0, 0, 0, 0))),
            ]
        rows.append(
            f"<tr><td class='whole'><a href='rules/{name}.html'>{name}</a></td>{''.join(cells)}"
            f"<td>{html.escape(reasons) or '<span class=quiet>none</span>'}</td></tr>"
        )
    history = "".join(
        f"<tr><td class='whole'>{_when(run['gated_at'])}</td><td class='whole'>{run['feed']}</td>"
        f"<td><a href='runs/{run['gate_id']}.html'>{_verdict(run['verdict'])}</a></td>"
        + "".join(f"<td class='number'>{count:,}</td>" for count in _counts(run))
        + f"<td class='quiet'>{html.escape(run['run_id'])}</td></tr>"
        for run in sorted(runs, key=lambda run: -run["gate_id"])[:200]
    )
    body = f"""
      <h1>Data quality</h1>
      <p class="lead">Every record that comes in is admitted or quarantined by the rules of its feed. A feed's name
      leads to its rules, a verdict to what that run of the gate found.</p>
      <table class="table"><thead><tr><th>Feed</th><th>Last verdict</th><th>at (UTC)</th>
      {_COUNTED}<th>Waiting for a steward</th></tr></thead>
      <tbody>{"".join(rows)}</tbody></table>
      <p class="quiet">The counts are of the runs that are kept here; a duplicate is content that was here before.
      <em>failed</em>: some records were quarantined; <em>held</em>: nothing of these batches is used before the cause
      is found. Quarantined records: <code>freightsync quarantine list</code>.</p>
      <h2>Runs of the gate</h2>
      <table class="table table-sm"><thead><tr><th>at (UTC)</th><th>Feed</th><th>Verdict</th>
      {_COUNTED}<th>Run</th></tr></thead>
      <tbody>{history}</tbody></table>"""
    return _framed("Data quality", body, up="")


def _run_page(run: Mapping[str, Any]) -> str:
    results = run["results"]
    facts = f"""
      <h1>{run["feed"]} {_verdict(run["verdict"])}</h1>
      <p class="lead">Gate run {run["gate_id"]} at {_when(run["gated_at"])} UTC
      <span class="quiet">({html.escape(run["run_id"])})</span>: {run["received"]:,} received,
      {run["accepted"]:,} admitted, {run["quarantined"]:,} quarantined, {_counts(run)[3]:,} duplicate.
      <a href="../rules/{run["feed"]}.html">All rules of this feed</a></p>"""
    for held in results.get("held", []):
        facts += "".join(f"<div class='alert alert-danger'>{html.escape(words)}</div>" for words in held["messages"])
    validation = (results.get("great_expectations") or {}).get("validation")
    if validation is None:
        counts = "".join(
            f"<tr><td>{_plain(rule)}</td><td class='number'>{count:,}</td></tr>"
            for rule, count in results.get("reasons", {}).items()
        )
        contents = counts and (
            "<table class='table'><thead><tr><th>Rule broken</th><th class='number'>Records</th></tr></thead>"
            f"<tbody>{counts}</tbody></table>"
        )
        contents += (
            "<p class='quiet'>Gated on the fast way: the same rules in one pass, without the full validation.</p>"
        )
    else:
        result = expectationSuiteValidationResultSchema.load(json.loads(json.dumps(validation)))
        rendered = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
        page = contents_of(str(_view().render(rendered)))  # type: ignore[no-untyped-call]
        contents = _records(validation) + _SUITE_LINK.sub(f'href="../rules/{run["feed"]}.html"', page)
    return _framed(f"{run['feed']}, gate run {run['gate_id']}", facts + contents, up="../")


def _records(validation: Mapping[str, Any]) -> str:
    """The records that broke a rule, as far as the result lists them."""
    parts = []
    for one in validation["results"]:
        rows = one["result"].get("details", {}).get("unexpected_rows") or []
        if not rows:
            continue
        listed = "".join(
            f"<tr><td>{html.escape(str(row.get('natural_key') or row.get('batch_id') or row.get('record_id')))}</td>"
            f"<td>{html.escape(str(row.get('words') or ''))}</td></tr>"
            for row in rows
        )
        count = expectations.counts({"results": [one]})[expectations.rule_of(one)]
        more = f" ({count:,}; the first {len(rows)} are shown)" if count > len(rows) else f" ({count:,})"
        parts.append(
            f"<h2>{_plain(expectations.rule_of(one))}{more}</h2><table class='table table-sm records'>"
            f"<tbody>{listed}</tbody></table>"
        )
    return "".join(parts) + ("<h2>All expectations</h2>" if parts else "")


def _rules_page(name: str, directory: Path) -> str:
    feed = feed_named(name)
    suite = expectations.expectation_suite(feed, load(directory, name), [])
    rendered = ExpectationSuitePageRenderer().render(suite)  # type: ignore[no-untyped-call]
    body = f"<h1>Rules of {name}</h1>" + contents_of(str(_view().render(rendered)))  # type: ignore[no-untyped-call]
    return _framed(f"Rules of {name}", body, up="../")


# ---------------------------------------------------------------------------------------------------- frame

_CONTENTS = re.compile(r'<div class="container-fluid pt-4.*?(?=<footer)', re.S)
_SCRIPT = re.compile(r"<script\b.*?</script>", re.S)
_REMOTE = re.compile(r"""<(?:link|img|script)\b[^>]*(?:href|src)=["']https?://[^>]*>""", re.S)
_SUITE_LINK = re.compile(r'href="[./]*/expectations/[^"]*"')


@lru_cache(maxsize=1)
def _view() -> DefaultJinjaPageView:
    # it keeps its compiled templates: the first page costs seven times as much as the others
    return DefaultJinjaPageView()


def contents_of(page: str) -> str:
    """What a page rendered by Great Expectations shows, without its frame, scripts and anything remote."""
    found = _CONTENTS.search(page)
    if found is None:
        raise ValueError("the rendering of Great Expectations has another shape than this project knows")
    return _REMOTE.sub("", _SCRIPT.sub("", found.group(0)))


def _framed(title: str, body: str, *, up: str) -> str:
    style = resources.files("freightsync.quality").joinpath(STYLE).read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)} · freightsync</title>
<style>{style}</style>
</head>
<body>
<header><a href="{up}index.html">freightsync · data quality</a></header>
<main>{body}</main>
</body>
</html>
"""


_COUNTED = "".join(f'<th class="number">{title}</th>' for title in ("Received", "Admitted", "Quarantined", "Duplicate"))


def _counts(run: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Received, admitted, quarantined, duplicate."""
    received, accepted, quarantined = run["received"], run["accepted"], run["quarantined"]
    rest = 0 if run["verdict"] == "held" else received - accepted - quarantined
    return received, accepted, quarantined, rest


def _verdict(verdict: str) -> str:
    return f"<span class='verdict {verdict}'>{verdict}</span>"


def _plain(code: str) -> str:
    return html.escape(code.replace("_", " "))


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".", delete=False, encoding="utf-8") as file:
        file.write(text)
    place = Path(file.name)
    place.chmod(0o644)
    place.replace(path)
