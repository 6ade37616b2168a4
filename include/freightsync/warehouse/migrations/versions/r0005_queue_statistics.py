"""dbt may refresh the statistics of the work queue: its size changes faster than autovacuum looks, and a plan for one
row that meets thousands compares every one with every other."""

from alembic import op

revision = "0005_queue_statistics"
down_revision = "0004_held_batches"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("grant maintain on ops.touched to freightsync_dbt")


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
