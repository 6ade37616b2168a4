"""Leftover accruals: proposed for release by the policy, released when another person has approved them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from freightsync import effects
from freightsync.domain.errors import PermanentError
from freightsync.domain.names import SHIPMENT
from freightsync.effects.authority import authority, not_oneself

CONSUMER = "reconcile_ledger"


@dataclass(frozen=True)
class Leftover:
    """An accrual that nobody billed within the policy's time. `state`: due, proposed, refused or approved."""

    shipment_id: str
    charge_code: str
    scac: str
    account: str
    release_account: str
    currency: str
    open_amount: Decimal
    accrued_on: dt.date
    age_days: int
    state: str
    proposal_id: int | None
    reason: str


_COLUMNS = ", ".join(Leftover.__dataclass_fields__)


def listed(conn: Connection[Any]) -> list[Leftover]:
    """As of the last build of the closing models, oldest first."""
    with conn.cursor(row_factory=class_row(Leftover)) as cursor:
        return cursor.execute(
            f"select {_COLUMNS} from decisions.accrual_leftover order by accrued_on, shipment_id, charge_code"  # noqa: S608
        ).fetchall()


def propose(conn: Connection[Any], *, by: str, run_id: str) -> int:
    """Proposes every leftover that is due and not proposed yet, as it stands; gives how many."""
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtext('freightsync release proposals'))")
        return conn.execute(
            """insert into effects.accrual_release_proposal (run_id, shipment_id, charge_code, scac, account,
                 release_account, currency, open_amount, functional_currency, functional_amount, accrued_on, age_days,
                 rule_id, rule_version, reason, correlation_id, proposed_by)
               select %(run)s, l.shipment_id, l.charge_code, l.scac, l.account, l.release_account, l.currency,
                 l.open_amount, l.functional_currency, l.functional_amount, l.accrued_on, l.age_days, l.rule_id,
                 l.rule_version, l.reason, l.correlation_id, %(by)s
               from decisions.accrual_leftover l
               where l.state = 'due' and not exists (
                 select from effects.accrual_release_proposal p
                 where (p.shipment_id, p.charge_code, p.account, p.currency, p.open_amount)
                     = (l.shipment_id, l.charge_code, l.account, l.currency, l.open_amount)
                   and not exists (select from effects.decision_approval a
                     where a.subject = 'accrual_release' and a.subject_id = p.proposal_id
                     and a.verdict = 'approved'))""",
            {"run": run_id, "by": by},
        ).rowcount


def approve(
    conn: Connection[Any],
    proposal_ids: Sequence[int],
    *,
    by: str,
    at: dt.datetime,
    note: str = "",
    refuse: bool = False,
) -> int:
    """Another person's yes or no to releases, all of them or none; gives how many. Posted by the next run of
    `reconcile_ledger`.

    Raises NotEntitled for the proposer and for whoever's limit is too low, PermanentError where one was decided before,
    or where another amount is open by now: what was looked at is what is released.
    """
    wanted = sorted(set(proposal_ids))
    with conn.transaction():
        found = {row[0]: row for row in conn.execute(_PROPOSED, (wanted,))}
        if missing := [one for one in wanted if one not in found]:
            raise PermanentError(
                f"there is no proposal {', '.join(map(str, missing))}", what_to_do="see `freightsync accruals list`"
            )
        still_open = {} if refuse else dict(conn.execute(_OPEN, (wanted,)).fetchall())
        for proposal_id, shipment, charge, currency, amount, proposer, decided in found.values():
            if decided:
                raise PermanentError(f"proposal {proposal_id} was decided before")
            known = authority(conn, by, "accrual_release", at=at, amount=amount)
            if not refuse:
                not_oneself(proposer, by, f"release {proposal_id}")
                if still_open.get(proposal_id) != amount:
                    raise PermanentError(
                        f"{amount} {currency} of {charge} on {shipment} were to be released, "
                        f"{still_open.get(proposal_id)} are open now",
                        what_to_do="refuse the proposal; what is left is proposed again if it is old enough",
                    )
            verdict = "refused" if refuse else "approved"
            conn.execute(
                """insert into effects.decision_approval (subject, subject_id, verdict, approved_by, role, rule_id,
                     rule_version, note) values ('accrual_release', %s, %s, %s, %s, %s, %s, %s)""",
                (proposal_id, verdict, by, known.role, known.rule_id, known.rule_version, note),
            )
        if not refuse:
            shipments = [shipment for _, shipment, *_ in found.values()]
            effects.touch(conn, CONSUMER, SHIPMENT, shipments, cause="accrual release")
            # what a bill may take back of the accrual is less from now on: its verdict says so
            effects.touch(conn, "settle_freight", SHIPMENT, shipments, cause="accrual release")
        return len(wanted)


_PROPOSED = """
select p.proposal_id, p.shipment_id, p.charge_code, p.currency, p.open_amount, p.proposed_by, a.subject_id is not null
from effects.accrual_release_proposal p
left join effects.decision_approval a on a.subject = 'accrual_release' and a.subject_id = p.proposal_id
where p.proposal_id = any(%s) order by p.proposal_id
"""

# from the log as it is now, not from a model that was built earlier
_OPEN = """
select p.proposal_id, sum(case when m.credit_account = p.account then m.amount else -m.amount end)
from effects.accrual_release_proposal p
join effects.movement m
  on m.attributes ->> 'shipment_id' = substr(p.shipment_id, 5) and m.attributes ->> 'charge_code' = p.charge_code
  and m.currency = p.currency and p.account in (m.debit_account, m.credit_account)
where p.proposal_id = any(%s)
group by p.proposal_id
"""
