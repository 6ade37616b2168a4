"""The morning's report: marts built and tested, control totals checked, the workbook written."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from freightsync.domain.errors import PermanentError
from freightsync.pipelines import build as dbt
from freightsync.pipelines.locks import held
from freightsync.pipelines.stages import begin, end
from freightsync.reports import make_report
from freightsync.settings import Settings
from freightsync.warehouse.connection import connect

log = logging.getLogger(__name__)

CONSUMER = "report_reconciliation"

_OUT_OF_BALANCE = """
    select feed, batch_id, currency, received, accepted, quarantined, duplicate,
           received_amount, accepted_amount, quarantined_amount, duplicate_amount
    from ops.control_total_check
    where gated and not balanced
    order by feed, batch_id, currency nulls first
"""


@dataclass(frozen=True)
class Reported:
    """What was written. differences: tie-out lines of the workbook that are not zero."""

    path: Path
    differences: int
    tests: int

    def words(self) -> str:
        return f"{self.path} written, {self.differences} differences, {self.tests} data tests passed"


def build_marts(run_id: str, settings: Settings, *, as_of: datetime | None = None) -> dbt.Built:
    """Builds the marts from everything that is stored."""
    with held(CONSUMER, settings), connect(settings.dsn("app"), application_name=CONSUMER) as conn:
        begin(conn, CONSUMER, run_id, as_of or datetime.now(UTC))
        return dbt.run_dbt(
            "run", ["tag:marts", "tag:close"], settings, as_of=as_of or datetime.now(UTC), directory=CONSUMER
        )


def check_control_totals(settings: Settings) -> int:
    """R1: received = accepted + quarantined + duplicate, in records and in money, for every gated batch. Returns
    how many batches were checked; raises PermanentError naming those that are out of balance."""
    with connect(settings.dsn("report"), application_name=CONSUMER) as conn:
        bad = conn.execute(_OUT_OF_BALANCE).fetchall()
        checked = conn.execute("select count(distinct batch_id) from ops.control_total_check where gated").fetchone()
    if bad:
        lines = "; ".join(
            f"{feed} batch {batch} {currency or ''}: {received} received, {accepted} accepted, "
            f"{quarantined} quarantined, {duplicate} duplicate, money {money[0]} = {money[1]} + {money[2]} + {money[3]}"
            for feed, batch, currency, received, accepted, quarantined, duplicate, *money in bad[:10]
        )
        raise PermanentError(
            f"{len(bad)} control totals are out of balance: {lines}",
            what_to_do="records were lost or counted twice between landing and gate: compare landing.document "
            "of the batch with its records before anything is reported",
        )
    return int(checked[0]) if checked else 0


def write_data_docs(settings: Settings) -> Path:
    """Brings the pages about every gate run up to date, also where the report itself is refused; gives the index."""
    from freightsync.quality import data_docs  # imports Great Expectations

    with connect(settings.dsn("report"), application_name="data docs") as conn:
        return data_docs.build(conn, settings=settings).index


def report(run_id: str, settings: Settings, *, as_of: datetime | None = None, path: Path | None = None) -> Reported:
    """Tests the models, checks the control totals, writes the workbook from the marts as they were built.

    path: default as in `make_report`. Raises PermanentError where a data test or a control
    total fails: a report that doesn't hold must not look like one that does.
    """
    as_of = as_of or datetime.now(UTC)
    with held(CONSUMER, settings):
        write_data_docs(settings)
        check_control_totals(settings)
        tested = dbt.run_dbt(
            "test", ["test_type:data"], settings, as_of=as_of, directory=CONSUMER, exclude_types=(), any_match=True
        )
        written = make_report(settings, as_of, path=path)
        with connect(settings.dsn("app"), application_name=CONSUMER) as conn:
            end(conn, CONSUMER, run_id)
    done = Reported(path=written.path, differences=written.differences, tests=len(tested.nodes))
    log.info("%s", done.words())
    return done
