"""A partner's pause is kept where every deliverer sees it."""

from alembic import op

revision = "0007_pauses"
down_revision = "0006_statistics"
branch_labels = None
depends_on = None

STATEMENTS = (
    "create table ops.target_pause (target text primary key, closed_until timestamptz not null)",
    """comment on table ops.target_pause is
      'Until when a partner asked us to wait (Retry-After); deleted by its next answer. May be lost without harm.'""",
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
