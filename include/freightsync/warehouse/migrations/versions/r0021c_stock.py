"""What goods are bought, and how many of them are still there: what the landed cost of late freight is split by."""

from alembic import op

revision = "0021c_stock"
down_revision = "0021b_self_billing"
branch_labels = None
depends_on = None

LANDED = """
create table landing.{name} (
  record_id bigint generated always as identity primary key,
  batch_id bigint not null references landing.batch,
  document_id bigint not null references landing.document,
  ordinal int not null,
  position text,
  record_sha256 bytea not null unique,
  correlation_id text not null,
  partner text not null,
  amount numeric(18,2),
  currency text,
  {columns});
comment on table landing.{name} is '{comment}';
create index on landing.{name} (batch_id);
create index on landing.{name} ({key}, version);
create trigger append_only before update or delete or truncate on landing.{name}
  for each statement execute function ops.refuse_change();
"""

TABLES = {
    "purchase_order": (
        "erp.purchase_order",
        "order_number",
        """order_number text not null, version int not null, changed_at timestamptz, status text, supplier_id text,
        billing_entity text, lines jsonb""",
        "Goods that we buy, one version of an order.",
    ),
    "stock_position": (
        "erp.stock_position",
        "stock_id",
        """stock_id text not null, version int not null, changed_at timestamptz, order_number text, order_line int,
        item_id text, received_quantity numeric(14,3), on_hand_quantity numeric(14,3), sold_quantity numeric(14,3)""",
        "What became of the goods of one receipt: how many are still there, how many were sold. Every reading is kept.",
    ),
}


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    (definition,) = connection.execute("select pg_get_viewdef('landing.record'::regclass, true)").fetchone()
    parts = [f"create or replace view landing.record as {definition.rstrip().rstrip(';')}"]
    for name, (feed, key, columns, comment) in TABLES.items():
        connection.execute(LANDED.format(name=name, key=key, columns=columns, comment=comment))
        parts.append(
            f"select '{feed}'::text, record_id, batch_id, document_id, correlation_id, partner, amount, currency"
            f" from landing.{name}"
        )
    connection.execute("create index on landing.stock_position (order_number, order_line)")
    # the view of every landed record: its own definition, as it stands, and the new tables
    connection.execute("\nunion all\n".join(parts))


def downgrade() -> None:
    raise NotImplementedError("landing is append-only: restore a backup instead")
