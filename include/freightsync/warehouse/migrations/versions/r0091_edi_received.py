"""What carriers answer to what we send them: 997, 824, and 990 to tenders."""

from alembic import op

revision = "0091_edi_received"
down_revision = "0090_bulk"
branch_labels = None
depends_on = None

LANDED = """
create table landing.{name} (
  record_id bigint generated always as identity primary key,
  batch_id bigint not null,
  document_id bigint not null,
  ordinal int not null,
  position text,
  record_sha256 bytea not null unique,
  correlation_id text not null,
  partner text not null,
  amount numeric(18,2),
  currency text,
  source text not null,
  {columns});
comment on table landing.{name} is '{comment}';
create index on landing.{name} (batch_id);
create trigger append_only before update or delete or truncate on landing.{name}
  for each statement execute function ops.refuse_change();
"""

TABLES = {
    "edi_answer": (
        "carrier.edi_answer",
        """kind text not null, scac text, functional_id text, group_control_number text, set_id text, control_number text,
        reference_qualifier text, reference text, advice_reference text, answered_on date, code text, errors jsonb""",
        "What a carrier said to a transaction of ours: whether it could be read (997), what became of it (824).",
    ),
    "tender_response": (
        "carrier.tender_response",
        """scac text, shipment_id text, responded_on date, action_code text, decision text, pro_number text, note text""",
        "A carrier''s answer to a tender (990). decision: what its code means in its release and profile.",
    ),
}


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    (definition,) = connection.execute("select pg_get_viewdef('landing.record'::regclass, true)").fetchone()
    parts = [f"create or replace view landing.record as {definition.rstrip().rstrip(';')}"]
    for name, (feed, columns, comment) in TABLES.items():
        connection.execute(LANDED.format(name=name, columns=columns, comment=comment))
        parts.append(
            f"select '{feed}'::text, record_id, batch_id, document_id, correlation_id, partner, amount, currency"
            f" from landing.{name}"
        )
    connection.execute("create index on landing.tender_response (shipment_id)")
    connection.execute("\nunion all\n".join(parts))


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
