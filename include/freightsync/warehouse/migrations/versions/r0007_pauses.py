"""A partner's pause is kept where every deliverer sees it, refused calls are kept within bounds, and looks that are taken
several times a second go by index."""

from alembic import op

revision = "0007_pauses"
down_revision = "0006_statistics"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create table ops.target_pause (target text primary key, closed_until timestamptz not null)",
    """comment on table ops.target_pause is
      'Until when a partner asked us to wait (Retry-After); deleted by its next answer. May be lost without harm.'""",
    # runs are never deleted, and each look asks which of a consumer is the latest and which is under way
    "create index on ops.run (consumer, started_at desc)",
    "create index on ops.run (consumer, started_at) where finished_at is null",
    """alter table landing.refused_call add column content_length bigint""",
    """comment on table landing.refused_call is
      'A call with a bad signature: its first 2 KB, never a record. So many a minute; ops.refused_call_count has the rest.'""",
    """comment on column landing.refused_call.content_length is
      'Bytes of the whole body, of which content holds the beginning; 0: it was refused unread.'""",
    "create index on landing.refused_call (partner, received_at)",
    """create table ops.refused_call_count (
      partner text not null, counted_on date not null, calls bigint not null, primary key (partner, counted_on))""",
    "comment on table ops.refused_call_count is 'Refused calls that were counted and not kept: too many came in a minute.'",
    # few plans wait for a person, and each new plan looks whether it is one of them
    "create index on effects.plan (approval_fingerprint) where approval_fingerprint is not null",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
