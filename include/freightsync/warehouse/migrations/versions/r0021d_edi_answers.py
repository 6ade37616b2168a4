"""Control numbers of the EDI that we send: one sequence a partner, each number given once."""

from alembic import op

revision = "0021d_edi_answers"
down_revision = "0021c_stock"
branch_labels = None
depends_on = None

STATEMENTS = (
    """create table effects.control_number (
      outbox_id bigint primary key references effects.document,
      partner text not null,
      first_number bigint not null check (first_number between 1 and 999999999),
      numbers int not null check (numbers > 0),
      given_at timestamptz not null default clock_timestamp(),
      unique (partner, first_number))""",
    """comment on table effects.control_number is
      'Which interchange control numbers a message to a partner has: given at its first attempt, the same at every later one.'""",
    """create trigger append_only before update or delete or truncate on effects.control_number
      for each statement execute function ops.refuse_change()""",
    # what is answered is looked for by document
    "create index on quality.quarantine (feed, quarantine_id) where record_id is not null",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("numbers that a partner has seen can't be taken back: restore a backup instead")
