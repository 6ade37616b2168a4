"""A held batch waits without waking anyone: the timed sweep looks at it again."""

from alembic import op

revision = "0004_held_batches"
down_revision = "0003_rules"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute("alter table ops.ungated_batch add column held_at timestamptz")
    connection.execute(
        "comment on column ops.ungated_batch.held_at is"
        " 'Since when the gate holds the batch: nothing of it is admitted, and it wakes no consumer.'"
    )


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
