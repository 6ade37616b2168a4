"""Operational tables: landing, quality, ops, effects; roles' grants; append-only enforced; R1 as a view."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# name -> (own columns, feed as a literal or None where the column `source` holds it)
FEED_TABLES = {
    "customer": (
        """customer_id text not null, version int not null, changed_at timestamptz, name text, billing_entity text,
        payment_terms text, billing_currency text, freight_billing text, invoice_per text, markup_percent numeric(6,2)""",
        "erp.customer",
    ),
    "ship_to": (
        """ship_to_id text not null, version int not null, changed_at timestamptz, customer_id text, name text, city text,
        state text, postal_code text, country text, time_zone text""",
        "erp.ship_to",
    ),
    "item": (
        """item_id text not null, version int not null, changed_at timestamptz, description text,
        unit_weight_lb numeric(12,3), pallet_length_in numeric(8,2), pallet_width_in numeric(8,2),
        pallet_height_in numeric(8,2), hazmat boolean, un_number text""",
        "erp.item",
    ),
    "carrier": (
        """carrier_id text not null, version int not null, changed_at timestamptz, scac text, name text, channel text,
        carrier_currency text""",
        "erp.carrier",
    ),
    "charge_code": (
        """charge_code_id text not null, version int not null, changed_at timestamptz, scac text, partner_code text,
        charge_code text, description text, ledger_account text, valid_from date, valid_to date""",
        "erp.charge_code",
    ),
    "lane": (
        """lane_id text not null, version int not null, changed_at timestamptz, origin_postal text,
        destination_postal text, scac text, equipment text, transit_days int""",
        "tms.lane",
    ),
    "sales_order": (
        """order_number text not null, version int not null, changed_at timestamptz, status text, customer_id text,
        ship_to_id text, requested_from timestamptz, requested_to timestamptz, shipping_conditions text,
        service_requirements text, lines jsonb""",
        "erp.sales_order",
    ),
    "shipment_plan": (
        """shipment_id text not null, plan_version int not null, event_id text, occurred_at timestamptz, scac text,
        pro_number text, bol_number text, booking_reference text, equipment text, ship_on date,
        weight_lb numeric(12,3), pieces int, order_lines jsonb, legs jsonb, stops jsonb, charges jsonb""",
        "tms.shipment_plan",
    ),
    "status_event": (
        """source text not null, source_event_id text, reference_kind text, reference text, scac text,
        stop_sequence int, code_set text, status_code text, reason_code text, appointment boolean,
        occurred_local timestamp, occurred_at timestamptz, time_code text, city text, state text, country text,
        pieces int, weight_lb numeric(12,3), details jsonb""",
        None,
    ),
    "proof_of_delivery": (
        """source_event_id text, shipment_id text, stop_sequence int, signed_by text, captured_at timestamptz,
        pieces_delivered int, osd jsonb, document_name text, document_sha256 text""",
        "driver.pod",
    ),
    "carrier_invoice": (
        """source text not null, scac text, invoice_number text, correction text not null default '', invoice_on date,
        ship_on date, shipment_reference text, bol_number text, pro_number text, po_number text, origin_postal text,
        destination_postal text, weight_lb numeric(12,3), net_amount numeric(18,2), lines_total numeric(18,2),
        line_count int""",
        None,
    ),
}

SCHEMAS = """
create schema landing; create schema quality; create schema ops; create schema effects; create schema rules;
comment on schema landing is 'As received. Append-only.';
comment on schema quality is 'Verdicts of the gate, quarantine, admissions. Append-only.';
comment on schema ops is 'Work queues and runs: may change, can be rebuilt.';
comment on schema effects is 'Plans, the log of effects made, outbox, outcomes. Append-only.';
comment on schema rules is 'Dated, versioned rule data. Append-only.';
"""

LANDING = """
create table landing.batch (
  batch_id bigint generated always as identity primary key,
  feed text not null,
  run_id text not null,
  opened_at timestamptz not null default clock_timestamp(),
  code_version text);
comment on table landing.batch is 'One row: one landing transaction of one feed.';
create index on landing.batch (feed, batch_id);

create table landing.document (
  document_id bigint generated always as identity primary key,
  batch_id bigint not null references landing.batch,
  feed text not null,
  partner text not null,
  channel text not null check (channel in ('sftp','api','webhook','portal')),
  name text not null,
  content bytea not null,
  content_sha256 bytea not null,
  correlation_id text not null,
  received_at timestamptz not null,
  readable boolean not null,
  error text,
  unique (feed, content_sha256));
comment on table landing.document is 'One row: bytes exactly as received (a file, a webhook body, an API page), once.';
create index on landing.document (batch_id);

create table landing.control_total (
  batch_id bigint not null references landing.batch,
  document_id bigint references landing.document,
  feed text not null,
  currency text,
  records bigint not null,
  amount numeric(18,2),
  is_document boolean not null default false);
comment on table landing.control_total is
  'What the reader counted, before and independent of inserting rows. is_document: an unreadable document, one unit with unknown money.';
create index on landing.control_total (batch_id);

create table landing.duplicate (
  duplicate_id bigint generated always as identity primary key,
  batch_id bigint not null references landing.batch,
  feed text not null,
  kind text not null check (kind in ('document','record')),
  partner text not null,
  name text not null,
  ordinal int,
  first_document_id bigint,
  first_record_id bigint,
  currency text,
  records bigint not null,
  amount numeric(18,2),
  received_at timestamptz not null default clock_timestamp());
comment on table landing.duplicate is 'The same content received again.';
create index on landing.duplicate (batch_id);

create table landing.refused_call (
  refused_id bigint generated always as identity primary key,
  partner text not null,
  path text not null,
  reason text not null,
  content bytea not null,
  content_sha256 bytea not null,
  received_at timestamptz not null default clock_timestamp());
comment on table landing.refused_call is 'A call with a bad signature: kept, counted, shown, never a record.';

create table landing.cursor (
  source text not null,
  position text not null,
  run_id text not null,
  recorded_at timestamptz not null default clock_timestamp());
comment on table landing.cursor is 'How far a delta was read; the latest row of a source wins.';
create index on landing.cursor (source, recorded_at desc);
"""

FEED_TABLE = """
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
create index on landing.{name} (batch_id);
"""

LANDING_KEYS = """
create index on landing.customer (customer_id, version);
create index on landing.ship_to (ship_to_id, version);
create index on landing.item (item_id, version);
create index on landing.carrier (carrier_id, version);
create index on landing.charge_code (charge_code_id, version);
create index on landing.lane (lane_id, version);
create index on landing.sales_order (order_number, version);
create index on landing.shipment_plan (shipment_id, plan_version);
create index on landing.status_event (reference, reference_kind);
create index on landing.proof_of_delivery (shipment_id);
create index on landing.carrier_invoice (scac, invoice_number);
create table landing.carrier_invoice_line (
  record_id bigint not null references landing.carrier_invoice,
  line int not null,
  partner_code text,
  description text,
  line_amount numeric(18,2),
  shipment_reference text,
  pro_number text,
  primary key (record_id, line));
"""

QUALITY = """
create table quality.gate (
  gate_id bigint generated always as identity primary key,
  feed text not null,
  run_id text not null,
  gated_at timestamptz not null default clock_timestamp(),
  verdict text not null check (verdict in ('passed','failed','held')),
  received bigint not null,
  accepted bigint not null,
  quarantined bigint not null,
  results jsonb not null);
comment on table quality.gate is 'One verdict per feed and run of the gate.';
create table quality.gated_batch (
  batch_id bigint primary key references landing.batch,
  gate_id bigint not null references quality.gate);
create table quality.quarantine (
  quarantine_id bigint generated always as identity primary key,
  feed text not null,
  batch_id bigint not null references landing.batch,
  document_id bigint references landing.document,
  record_id bigint,
  is_document boolean not null default false,
  partner text not null,
  natural_key text,
  position text,
  reasons text[] not null check (cardinality(reasons) > 0),
  messages text[] not null,
  payload jsonb,
  amount numeric(18,2),
  currency text,
  quarantined_at timestamptz not null default clock_timestamp(),
  unique (feed, record_id));
comment on table quality.quarantine is
  'A record, or a document that could not be read (is_document), kept from the models, with reasons and what to do.';
create index on quality.quarantine (batch_id);
create table quality.release (
  release_id bigint generated always as identity primary key,
  quarantine_id bigint not null unique references quality.quarantine,
  new_record_id bigint,
  released_by text not null,
  note text not null,
  released_at timestamptz not null default clock_timestamp());
comment on table quality.release is 'A steward''s dated move out of quarantine.';
create table quality.admission (
  admission_id bigint generated always as identity,
  feed text not null,
  record_id bigint not null,
  batch_id bigint not null,
  origin text not null check (origin in ('gate','release')),
  admitted_at timestamptz not null default clock_timestamp(),
  primary key (feed, record_id));
comment on table quality.admission is 'An accepted record: staging reads only these.';
create index on quality.admission (batch_id);
create index on quality.admission (feed, admission_id);
"""

OPS = """
create table ops.run (
  run_id text not null,
  consumer text not null,
  as_of timestamptz not null,
  started_at timestamptz not null default clock_timestamp(),
  built_at timestamptz,
  finished_at timestamptz,
  code_version text,
  attempt int not null default 1,
  built_watermark bigint,
  primary key (consumer, run_id));
comment on column ops.run.built_at is 'Set when every model of the consumer was built for this run''s scope: no plan without it.';
comment on column ops.run.attempt is 'Counts claims of this run: a fence against a killed task that still runs.';
comment on column ops.run.built_watermark is 'Highest touch_id in the run''s scope when it was built.';

create table ops.touched (
  touch_id bigint generated always as identity primary key,
  consumer text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  cause text,
  touched_at timestamptz not null default clock_timestamp(),
  run_id text);
comment on table ops.touched is
  'An aggregate that a consumer must look at again; deleted in the transaction that applies the plan of the run that claimed it.';
create index on ops.touched (consumer, run_id);
create index on ops.touched (aggregate_type, aggregate_id);

create table ops.aggregate_head (
  relation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  version bigint not null,
  plan_id uuid not null,
  primary key (aggregate_id, relation, aggregate_type)) with (fillfactor = 80);
comment on table ops.aggregate_head is
  'How often effects of a relation were appended for an aggregate; apply compares and sets it, so a plan made from an older state is refused.';

create table ops.outbox_pending (
  outbox_id bigint primary key,
  target text not null,
  lane text not null,
  operation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  status text not null default 'ready' check (status in ('ready','leased','dead')),
  attempts int not null default 0,
  unknown boolean not null default false,
  next_attempt_at timestamptz not null default '-infinity',
  deliverer int) with (fillfactor = 80);
comment on table ops.outbox_pending is
  'Outbox rows not yet accepted by their target, so that finding work costs what is pending, not what is stored. Can be rebuilt from effects.outbox and effects.outcome.';
create index on ops.outbox_pending (target, aggregate_type, aggregate_id, outbox_id);
create index on ops.outbox_pending (target, lane, outbox_id) where status = 'ready';
create index on ops.outbox_pending (status, deliverer) where status <> 'ready';
create sequence ops.deliverer_id as int cycle;
"""

EFFECTS = """
create table effects.plan (
  plan_id uuid primary key default uuidv7(),
  consumer text not null,
  run_id text not null,
  attempt int not null,
  as_of timestamptz not null,
  built_at timestamptz not null,
  input_watermark bigint not null,
  relations text[] not null,
  line_count bigint not null,
  retracted_keys bigint not null,
  retracted_amount numeric(18,2) not null,
  made_keys bigint not null,
  approval_fingerprint text,
  totals jsonb not null,
  planned_at timestamptz not null default clock_timestamp());
comment on table effects.plan is 'Desired minus made, at one moment, for the aggregates of a run. Planning changes nothing else.';
comment on column effects.plan.approval_fingerprint is 'Not null: retracts more than the limit; needs a row in effects.approval.';
create index on effects.plan (consumer, run_id);

-- No foreign key from here on where a row always comes with its parent in one statement's transaction: checked row by
-- row it would cost more than the insert itself (1M effects).
create table effects.plan_aggregate (
  plan_id uuid not null,
  relation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  version bigint not null,
  primary key (plan_id, aggregate_id, relation, aggregate_type));
comment on table effects.plan_aggregate is 'Head version of each aggregate that the plan would change, as the plan saw it.';

create table effects.plan_line (
  plan_id uuid not null,
  line int not null,
  relation text not null,
  kind text not null check (kind in ('movement','state','once')),
  aggregate_type text not null,
  aggregate_id text not null,
  effect_key text not null,
  target text not null,
  operation text not null,
  lane text not null check (lane in ('hot','bulk')),
  cause text,
  debit_account text,
  credit_account text,
  currency text,
  amount numeric(18,2),
  functional_currency text,
  functional_amount numeric(18,2),
  reverses boolean,
  object_type text,
  object_id text,
  aspect text,
  state text,
  step int,
  payload jsonb not null,
  rule_id text,
  rule_version text,
  reason text,
  correlation_id text,
  primary key (plan_id, line));
comment on table effects.plan_line is 'One effect to append. For a movement, accounts and amount are those of the transfer itself.';

create table effects.approval (
  fingerprint text primary key,
  approved_by text not null,
  note text not null,
  approved_at timestamptz not null default clock_timestamp());
comment on table effects.approval is 'A person''s yes to a plan that retracts more than the limit, by the content of what it retracts.';

create table effects.applied (
  plan_id uuid primary key references effects.plan,
  posted_on date not null,
  period text not null,
  movements bigint not null,
  states bigint not null,
  onces bigint not null,
  documents bigint not null,
  applied_at timestamptz not null default clock_timestamp());
comment on table effects.applied is 'A plan is applied once.';

create table effects.period_change (
  period_change_id bigint generated always as identity primary key,
  period text not null check (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
  status text not null check (status in ('open','closed')),
  changed_by text not null,
  note text not null default '',
  changed_at timestamptz not null default clock_timestamp());
comment on table effects.period_change is 'Opening and closing of posting periods; the latest row wins, a period never named is open.';
create view effects.period as
  select distinct on (period) period, status, changed_by, note, changed_at
  from effects.period_change order by period, period_change_id desc;

create table effects.outbox (
  outbox_id bigint generated always as identity primary key,
  journal_id uuid not null unique,
  plan_id uuid not null,
  kind text not null check (kind in ('movement','state','once')),
  target text not null,
  operation text not null,
  lane text not null check (lane in ('hot','bulk')),
  aggregate_type text not null,
  aggregate_id text not null,
  correlation_id text,
  payload jsonb not null,
  created_at timestamptz not null default clock_timestamp());
comment on table effects.outbox is
  'One document for one partner, payload frozen. journal_id is our reference and idempotency key. Delivered first in, first out per target and aggregate.';
create index on effects.outbox (aggregate_id, aggregate_type);

create table effects.movement (
  movement_id bigint generated always as identity primary key,
  plan_id uuid not null,
  journal_id uuid not null,
  relation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  effect_key text not null,
  cause text not null,
  debit_account text not null,
  credit_account text not null,
  currency text not null,
  amount numeric(18,2) not null check (amount >= 0),
  functional_currency text not null,
  functional_amount numeric(18,2) not null check (functional_amount >= 0),
  reverses boolean not null,
  posted_on date not null,
  period text not null,
  target text not null,
  document_type text not null,
  lane text not null,
  rule_id text,
  rule_version text,
  reason text,
  correlation_id text,
  attributes jsonb not null,
  made_at timestamptz not null default clock_timestamp(),
  check (debit_account <> credit_account),
  check (amount > 0 or functional_amount > 0));
comment on table effects.movement is
  'A transfer made: debit account, credit account, amount; balanced by construction. An exchange difference may have a zero amount, but not a zero functional amount.';
comment on column effects.movement.reverses is
  'The transfer takes back: its accounts are the key''s accounts swapped. Sums by key: see view effects.movement_by_key.';
create index on effects.movement (aggregate_id, relation, aggregate_type);

create view effects.movement_by_key as
  select relation, aggregate_type, aggregate_id, effect_key, cause,
    case when reverses then credit_account else debit_account end as debit_account,
    case when reverses then debit_account else credit_account end as credit_account,
    currency, functional_currency,
    sum(case when reverses then -amount else amount end) as amount,
    sum(case when reverses then -functional_amount else functional_amount end) as functional_amount
  from effects.movement
  group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
comment on view effects.movement_by_key is 'What has been made, in the terms in which desired movements are written.';

create table effects.state (
  state_id bigint generated always as identity primary key,
  plan_id uuid not null,
  journal_id uuid not null,
  relation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  effect_key text not null,
  target text not null,
  object_type text not null,
  object_id text not null,
  aspect text not null,
  state text not null,
  lane text not null,
  rule_id text,
  rule_version text,
  reason text,
  correlation_id text,
  payload jsonb not null,
  made_at timestamptz not null default clock_timestamp());
comment on table effects.state is 'A state announced to a partner, mandatory steps included, in the order of state_id.';
create index on effects.state (aggregate_id, relation, aggregate_type);
create index on effects.state (effect_key, state_id);

create table effects.once (
  occurrence_key text primary key,
  plan_id uuid not null,
  journal_id uuid not null,
  relation text not null,
  aggregate_type text not null,
  aggregate_id text not null,
  target text not null,
  operation text not null,
  lane text not null,
  rule_id text,
  rule_version text,
  reason text,
  correlation_id text,
  payload jsonb not null,
  made_at timestamptz not null default clock_timestamp());
comment on table effects.once is 'What happens once and is never taken back: a notification, a case opened, a tender.';

create table effects.outcome (
  outcome_id bigint generated always as identity primary key,
  outbox_id bigint not null references effects.outbox,
  attempt int not null,
  outcome text not null check (outcome in ('sending','accepted','refused','retry','unknown','gave_up','requeued')),
  reference text,
  message text,
  what_to_do text,
  next_attempt_at timestamptz,
  decided_by text,
  at timestamptz not null default clock_timestamp());
comment on table effects.outcome is
  'What became of an outbox row, step by step: sending (before the call), then the answer. sending without an answer is an unknown outcome.';
create index on effects.outcome (outbox_id, outcome_id);
"""

CONTROL_TOTALS = """
create view ops.control_total_check as
with parts as (
  select feed, batch_id, currency, 'received' as part, records, amount from landing.control_total
  union all
  select feed, batch_id, currency, 'duplicate', records, amount from landing.duplicate
  union all
  select feed, batch_id, currency, 'quarantined', 1, amount from quality.quarantine
  union all
  select a.feed, a.batch_id, r.currency, 'accepted', 1, r.amount
  from quality.admission a join landing.record r on r.feed = a.feed and r.record_id = a.record_id
  where a.origin = 'gate'
), totals as (
  select feed, batch_id, currency,
    coalesce(sum(records) filter (where part = 'received'), 0)::bigint as received,
    coalesce(sum(records) filter (where part = 'accepted'), 0)::bigint as accepted,
    coalesce(sum(records) filter (where part = 'quarantined'), 0)::bigint as quarantined,
    coalesce(sum(records) filter (where part = 'duplicate'), 0)::bigint as duplicate,
    coalesce(sum(amount) filter (where part = 'received'), 0)::numeric(18,2) as received_amount,
    coalesce(sum(amount) filter (where part = 'accepted'), 0)::numeric(18,2) as accepted_amount,
    coalesce(sum(amount) filter (where part = 'quarantined'), 0)::numeric(18,2) as quarantined_amount,
    coalesce(sum(amount) filter (where part = 'duplicate'), 0)::numeric(18,2) as duplicate_amount
  from parts group by feed, batch_id, currency
)
select t.*,
  exists (select 1 from quality.gated_batch g where g.batch_id = t.batch_id) as gated,
  received = accepted + quarantined + duplicate
    and received_amount = accepted_amount + quarantined_amount + duplicate_amount as balanced
from totals t;
comment on view ops.control_total_check is
  'R1, one row per feed, batch and currency: received = accepted + quarantined + duplicate, in records and in money. A batch not gated yet is not balanced. Releases are later moves and do not change it.';
"""

APPEND_ONLY = """
create function ops.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% on %.% is refused: the table is append-only', tg_op, tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege', hint = 'Append a correcting row instead.';
end $$;
comment on function ops.refuse_change is 'Refuses the owner too; only a migration that drops the trigger by name gets past it.';
do $$
declare t record;
begin
  for t in select schemaname, tablename from pg_tables where schemaname in ('landing', 'quality', 'effects') loop
    execute format('create trigger append_only before update or delete or truncate on %I.%I
                    for each statement execute function ops.refuse_change()', t.schemaname, t.tablename);
  end loop;
end $$;
"""

GRANTS = """
do $$
declare r text;
begin
  foreach r in array array['freightsync_owner', 'freightsync_app', 'freightsync_dbt', 'freightsync_report'] loop
    if not exists (select 1 from pg_roles where rolname = r) then
      begin
        execute format('create role %I nologin', r);
      exception
        when insufficient_privilege then
          raise exception 'role % is missing and % may not create it', r, current_user
            using hint = 'Create the project''s roles first (the stack''s provisioning does), then migrate.';
        when duplicate_object then null;  -- another database of this server was migrated at the same moment
      end;
    end if;
  end loop;
end $$;

grant usage on schema landing, quality, ops, effects, rules to freightsync_app, freightsync_dbt, freightsync_report;
grant select on all tables in schema landing, quality, ops, effects, rules
  to freightsync_app, freightsync_dbt, freightsync_report;
grant insert on all tables in schema landing, quality, effects to freightsync_app;
grant insert, update, delete on all tables in schema ops to freightsync_app;
grant usage on all sequences in schema ops to freightsync_app;

alter default privileges in schema landing, quality, ops, effects, rules
  grant select on tables to freightsync_app, freightsync_dbt, freightsync_report;
alter default privileges in schema landing, quality, effects grant insert on tables to freightsync_app;
alter default privileges in schema ops grant insert, update, delete on tables to freightsync_app;
"""


def record_view() -> str:
    """Every landed record of every feed, with its money: what R1 adds up."""
    parts = [
        f"select {'source' if feed is None else repr(feed)} as feed, record_id, batch_id, document_id, correlation_id,"
        f" partner, amount, currency from landing.{name}"
        for name, (_, feed) in FEED_TABLES.items()
    ]
    return "create view landing.record as\n" + "\nunion all\n".join(parts) + ";"


def upgrade() -> None:
    # the driver's own connection: many statements in one string, and no colon or percent sign is a parameter
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    feeds = "".join(FEED_TABLE.format(name=name, columns=columns) for name, (columns, _) in FEED_TABLES.items())
    for script in (SCHEMAS, LANDING, feeds, LANDING_KEYS, QUALITY, OPS, EFFECTS, record_view(), CONTROL_TOTALS):
        connection.execute(script)
    connection.execute(APPEND_ONLY)
    connection.execute(GRANTS)


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
