"""What a million records needed at landing and at the gate: no check row by row of what the same transaction wrote, no
index that nobody reads, no compression of files that are hardly ever read again."""

from alembic import op

revision = "0090_bulk"
down_revision = "0021e_audit_mode"
branch_labels = None
depends_on = None

# A record comes in one statement's transaction with its batch and document, a line with its record. Checked row by row,
# these references cost as much as the rows themselves (measured: 1M invoices, 3M lines).
REFERENCES = """
do $$
declare reference record;
begin
  for reference in
    select c.conrelid::regclass as relation, c.conname
    from pg_constraint c
    join pg_class child on child.oid = c.conrelid
    where c.contype = 'f' and child.relnamespace = 'landing'::regnamespace
      and exists (select from pg_attribute a where a.attrelid = child.oid and a.attname = 'record_id' and not a.attisdropped)
  loop
    execute format('alter table %s drop constraint %I', reference.relation, reference.conname);
  end loop;
end $$;
"""

STATEMENTS = (
    REFERENCES,
    # nothing asks for admissions in the order in which they were made
    "drop index quality.admission_feed_admission_id_idx",
    # the gate refreshes the statistics of what it is about to read; MAINTAIN changes no row (see 0006)
    "grant maintain on all tables in schema landing to freightsync_app",
    # compressed by the server as they came, files took longer than everything else about them
    "alter table landing.document alter column content set storage external",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
