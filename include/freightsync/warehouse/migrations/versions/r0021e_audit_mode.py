"""Whether a freight audit platform's result is advice or decides, by carrier."""

from alembic import op

revision = "0021e_audit_mode"
down_revision = "0021d_edi_answers"
branch_labels = None
depends_on = None

STATEMENTS = (
    """alter table rules.settlement_policy
      add column audit_mode text not null default 'advise' check (audit_mode in ('advise', 'binding'))""",
    """comment on column rules.settlement_policy.audit_mode is
      'What a freight audit platform''s result on a bill is. advise: it stands beside the verdict; binding: what it says is '
      'to be paid is paid, and the rest rejected, unless both sides agreed otherwise.'""",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
