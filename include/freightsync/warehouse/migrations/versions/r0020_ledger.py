"""Each effect is written once: documents without a copy of their movements, plans that are applied as they are made."""

from alembic import op

revision = "0020_ledger"
down_revision = "0015_close"
branch_labels = None
depends_on = None

DOCUMENTS = """
alter table effects.outbox rename to document;
alter table effects.document
  alter column payload drop not null,
  add column posted_on date,
  add column period text;
comment on table effects.document is
  'One document for one partner. journal_id is our reference and idempotency key. Delivered first in, first out per target and aggregate.';
comment on column effects.document.payload is
  'What is sent, frozen. Null: a document of movements, whose payload follows from them, which are frozen themselves; see effects.outbox.';

create view effects.outbox as
select document.outbox_id, document.journal_id, document.plan_id, document.kind, document.target, document.operation,
  document.lane, document.aggregate_type, document.aggregate_id, document.correlation_id,
  coalesce(document.payload, case document.kind when 'movement' then (
    select jsonb_build_object('document_type', document.operation, 'reference', document.journal_id,
      'aggregate_id', document.aggregate_id, 'currency', min(movement.currency),
      'functional_currency', min(movement.functional_currency), 'posted_on', document.posted_on,
      'period', document.period,
      'lines', jsonb_agg(movement.attributes || jsonb_build_object('effect_key', movement.effect_key,
        'cause', movement.cause, 'debit_account', movement.debit_account, 'credit_account', movement.credit_account,
        'amount', movement.amount::text, 'functional_amount', movement.functional_amount::text,
        'reverses', movement.reverses)
        order by movement.effect_key, movement.cause,
          case when movement.reverses then movement.credit_account else movement.debit_account end,
          case when movement.reverses then movement.debit_account else movement.credit_account end,
          movement.amount = 0, movement.movement_id))
    from effects.movement as movement
    where movement.journal_id = document.journal_id and movement.plan_id = document.plan_id) end) as payload,
  document.created_at, coalesce(document.period, document.payload ->> 'period') as period
from effects.document as document;
comment on view effects.outbox is
  'Documents with what is sent. Of movements it is put together when it is read: they can be neither changed nor added to, so it is the same to the byte whenever that is.';
"""

PLANS = """
alter table effects.applied
  add column first_movement_id bigint,
  add column last_movement_id bigint;
comment on column effects.applied.first_movement_id is
  'Of a plan that was applied as it was made: between these two lie its movements, perhaps with another plan''s. Null: its lines are in effects.plan_line.';
comment on table effects.plan_line is
  'One effect to append, of a plan that was made to be looked at, and every state and occurrence. For a movement, accounts and amount are those of the transfer itself. All plans'' lines: see view effects.planned.';
grant select on sequence effects.movement_movement_id_seq to freightsync_app;

create view effects.planned as
select plan_id, line, relation, kind, aggregate_type, aggregate_id, effect_key, target, operation, lane, cause,
  debit_account, credit_account, currency, amount, functional_currency, functional_amount, reverses, object_type,
  object_id, aspect, state, payload, rule_id, rule_version, reason, correlation_id
from effects.plan_line
union all
select movement.plan_id, (movement.movement_id - applied.first_movement_id + 1)::int, movement.relation, 'movement',
  movement.aggregate_type, movement.aggregate_id, movement.effect_key, movement.target, movement.document_type,
  movement.lane, movement.cause, movement.debit_account, movement.credit_account, movement.currency, movement.amount,
  movement.functional_currency, movement.functional_amount, movement.reverses, null, null, null, null,
  movement.attributes, movement.rule_id, movement.rule_version, movement.reason, movement.correlation_id
from effects.applied as applied
join effects.movement as movement
  on movement.movement_id between applied.first_movement_id and applied.last_movement_id
  and movement.plan_id = applied.plan_id;
comment on view effects.planned is 'What each plan is to do, or did.';
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(DOCUMENTS)
    connection.execute(PLANS)


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
