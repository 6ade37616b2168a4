"""Whether the tax on a carrier's bill is booked here, and on which account."""

from alembic import op

revision = "0092_input_tax"
down_revision = "0091_edi_received"
branch_labels = None
depends_on = None

STATEMENTS = (
    """create table rules.input_tax_policy (
      rule_id text not null,
      rule_version int not null check (rule_version > 0),
      scac text not null default '*',
      business_unit text not null default '*',
      is_booked boolean not null,
      tax_account text not null,
      valid_from date not null,
      valid_to date check (valid_to >= valid_from),
      recorded_at timestamptz not null default clock_timestamp(),
      recorded_by text not null,
      note text not null,
      primary key (rule_id, rule_version))""",
    """comment on table rules.input_tax_policy is
      'Whether the tax that a carrier bills is owed by our posting, and on which account it stands: what comes back from the '
      'tax office, or a cost. Most specific wins: carrier, business unit.'""",
    """create trigger append_only before update or delete or truncate on rules.input_tax_policy
      for each statement execute function ops.refuse_change()""",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
