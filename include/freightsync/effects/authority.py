"""Who may approve what, up to which amount: rules as data (`rules.approver`, `rules.approval_limit`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from psycopg import Connection

from freightsync.domain.errors import NotEntitled

Subject = Literal["accrual_release", "drift", "period_close", "period_reopen"]


@dataclass(frozen=True)
class Authority:
    """The role under which a person may, and the limit that says so."""

    person: str
    role: str
    rule_id: str
    rule_version: str


_LIMITS = """
with roles as (
  select distinct on (rule_id) person, role, valid_to from rules.approver
  where recorded_at <= %(at)s and valid_from <= %(day)s order by rule_id, rule_version desc
), limits as (
  select distinct on (rule_id) rule_id, rule_version, role, subject, max_amount, valid_to from rules.approval_limit
  where recorded_at <= %(at)s and valid_from <= %(day)s order by rule_id, rule_version desc
)
select role, rule_id, rule_version::text, max_amount
from roles join limits using (role)
where lower(roles.person) = lower(%(person)s) and limits.subject = %(subject)s
  and coalesce(roles.valid_to >= %(day)s, true) and coalesce(limits.valid_to >= %(day)s, true)
order by max_amount nulls last, rule_id
"""


def authority(
    conn: Connection[Any], person: str, subject: Subject, *, at: datetime, amount: Decimal = Decimal("0.00")
) -> Authority:
    """The tightest limit under which a person may approve this amount. Raises NotEntitled saying how far it goes."""
    rows = conn.execute(_LIMITS, {"person": person, "subject": subject, "at": at, "day": at.date()}).fetchall()
    for role, rule_id, version, most in rows:
        if most is None or abs(amount) <= most:
            return Authority(person, role, rule_id, version)
    words = subject.replace("_", " ")
    if not rows:
        raise NotEntitled(
            f"{person} may approve no {words}",
            what_to_do="ask somebody with the role for it, or record the role in rules.approver",
        )
    raise NotEntitled(
        f"{person} may approve {words} up to {rows[-1][3]} only, not {abs(amount)}",
        what_to_do="ask somebody with a higher limit",
    )


def not_oneself(proposer: str, approver: str, what: str) -> None:
    """Four eyes. Raises NotEntitled."""
    if proposer.strip().lower() == approver.strip().lower():
        raise NotEntitled(
            f"{approver} asked for {what} and may not approve it too", what_to_do="another person looks at it"
        )
