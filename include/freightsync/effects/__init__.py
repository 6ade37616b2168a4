"""Decide declaratively, act by difference: desired − made = plan; apply appends it to the log and to the outbox.

    claim(conn, consumer, run_id, as_of)      the run takes its touched aggregates
    … the models are built …
    mark_built(conn, consumer, run_id)        no plan without it
    made = plan(conn, consumer=…, run_id=…, relations=[…], scope_relation=…)
    apply(conn, made.plan_id)                 effects, outbox, touched rows gone: one transaction
    plan_and_apply(conn, …)                   or both in one, where nobody has to look first

Each function is one transaction of its own unless the caller has one open. Crash anywhere and run again: what was
applied plans nothing, what was not is planned again. May import: warehouse, domain, settings.
"""

from freightsync.effects.applier import Applied, apply
from freightsync.effects.approvals import approve
from freightsync.effects.at_once import plan_and_apply
from freightsync.effects.heads import restore_heads
from freightsync.effects.periods import change_period, posting_date
from freightsync.effects.planner import DEFAULT_LIMITS, Plan, RetractionLimits, Total, plan
from freightsync.effects.runs import attempt, claim, mark_built, pending, touch

__all__ = [
    "DEFAULT_LIMITS",
    "Applied",
    "Plan",
    "RetractionLimits",
    "Total",
    "apply",
    "approve",
    "attempt",
    "change_period",
    "claim",
    "mark_built",
    "pending",
    "plan",
    "plan_and_apply",
    "posting_date",
    "restore_heads",
    "touch",
]
