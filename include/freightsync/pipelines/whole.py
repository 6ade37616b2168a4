"""A whole pipeline in one call: what the tasks of its DAG do, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from freightsync.pipelines import delivering, hot, stages
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings

CONSUMERS = (*PIPELINES, delivering.CONSUMER, "report_reconciliation")
"""Everything that `run_pipeline` takes."""


@dataclass(frozen=True)
class Ran:
    """What a whole run did, in words and in numbers that tests look at."""

    consumer: str
    taken: stages.TakenIn
    made: stages.Made
    told: dict[str, int]
    words: tuple[str, ...]


def run_pipeline(consumer: str, run_id: str, as_of: datetime | None, settings: Settings) -> Ran:
    """Runs a pipeline from landing to applied effects (delivery for `deliver_effects` and for the hot path).

    Raises KeyError for an unknown consumer and what its stages raise; a repetition with the same or another run id
    continues where the last one stopped.
    """
    nothing = (stages.TakenIn(), stages.Made(), dict[str, int]())
    if consumer == delivering.CONSUMER:
        sent = delivering.deliver_effects(run_id, settings)
        return Ran(consumer, *nothing, words=(delivering.words(sent),))
    if consumer == "report_reconciliation":
        from freightsync.pipelines import reporting

        built = reporting.build_marts(run_id, settings, as_of=as_of)
        return Ran(consumer, *nothing, words=(built.words(), reporting.report(run_id, settings, as_of=as_of).words()))
    if consumer == "reconcile_ledger":
        from freightsync.pipelines import reconciling

        reconciled = reconciling.reconcile(run_id, settings, as_of=as_of)
        return Ran(consumer, reconciled.taken, reconciled.made, {}, (reconciled.words(),))
    if consumer == hot.CONSUMER:
        drained = hot.invoice_on_pod(run_id, settings)
        taken = stages.TakenIn(claimed=drained.claimed)
        return Ran(consumer, taken, stages.Made(effects=drained.effects), {}, (drained.words(),))

    return run_stages(consumer, run_id, as_of, settings)


def run_stages(consumer: str, run_id: str, as_of: datetime | None, settings: Settings, *, alone: bool = True) -> Ran:
    """The stages of a pipeline that has them, one after the other. `alone`: each takes the consumer's lock (false: the
    caller has it)."""
    pipeline = PIPELINES[consumer]
    taken = stages.land_and_gate(consumer, run_id, settings, as_of=as_of, alone=alone)
    words = [taken.words()]
    told: dict[str, int] = {}
    made = stages.Made()
    if taken.claimed:
        built, told = stages.build(consumer, run_id, settings, alone=alone)
        words.append(built.words())
        if pipeline.relations:
            made = stages.plan_and_apply(consumer, run_id, settings, alone=alone)
            words.append(made.words())
    return Ran(consumer, taken, made, told, tuple(words))
