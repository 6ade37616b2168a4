"""dbt may refresh the statistics of what it reads. Tables grow faster here than autovacuum looks (once a minute at best),
and a query planned for one row that meets thousands compares every one with every other."""

from alembic import op

revision = "0006_statistics"
down_revision = "0005_queue_statistics"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # MAINTAIN is ANALYZE, VACUUM, REINDEX and the like: it changes no row
    op.execute("grant maintain on all tables in schema landing, quality, ops to freightsync_dbt")


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
