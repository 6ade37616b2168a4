"""What the gate and the collectors look up: shipments by carrier reference, events by id, files seen but not stable."""

from alembic import op

revision = "0002_intake_lookups"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
create index on landing.shipment_plan (pro_number, scac);
create index on landing.shipment_plan (bol_number, scac);
create index on landing.shipment_plan (event_id);
create index on landing.status_event (source_event_id);
create table ops.ungated_batch (
  batch_id bigint primary key,
  feed text not null);
comment on table ops.ungated_batch is
  'Batches that the gate has not passed yet, so that finding them costs what is waiting, not what is stored. Filled by landing, emptied by the gate; can be rebuilt from landing.batch and quality.gated_batch.';
create index on ops.ungated_batch (feed, batch_id);
create table ops.file_look (
  partner text not null,
  name text not null,
  size bigint not null,
  mtime bigint not null,
  seen_at timestamptz not null,
  landed_sha256 bytea,
  primary key (partner, name));
comment on table ops.file_look is
  'Files lying in a partner''s inbound directory: since when they have had this size and time, and whether they have been landed but not yet archived. Can be rebuilt by looking again.';
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(UPGRADE)


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
