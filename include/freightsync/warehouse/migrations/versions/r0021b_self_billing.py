"""Which carriers' moves are paid by our own document, as a rule."""

from alembic import op

revision = "0021b_self_billing"
down_revision = "0021_costs"
branch_labels = None
depends_on = None

STATEMENTS = (
    """create table rules.self_billing_policy (
      rule_id text not null,
      rule_version int not null check (rule_version > 0),
      scac text not null default '*',
      business_unit text not null default '*',
      is_self_billed boolean not null,
      from_milestone text not null default 'delivered' check (from_milestone in ('delivered', 'pod_received')),
      valid_from date not null,
      valid_to date check (valid_to >= valid_from),
      recorded_at timestamptz not null default clock_timestamp(),
      recorded_by text not null,
      note text not null,
      primary key (rule_id, rule_version))""",
    """comment on table rules.self_billing_policy is
      'Whether a carrier''s moves are paid by our own document, from the planned or contract rate, and from which milestone. '
      'Most specific wins: carrier, business unit.'""",
    """create trigger append_only before update or delete or truncate on rules.self_billing_policy
      for each statement execute function ops.refuse_change()""",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
