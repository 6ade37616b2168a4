"""What settlement needs of rules and of people: tolerances by lane and value, how a carrier may be disputed, reasons
with their accounts, who bills for whom; and what people said about bills, append-only."""

from alembic import op

revision = "0008_settlement"
down_revision = "0007_pauses"
branch_labels = None
depends_on = None

VERSIONED = """
  valid_from date not null,
  valid_to date check (valid_to >= valid_from),
  recorded_at timestamptz not null default clock_timestamp(),
  recorded_by text not null,
  note text not null,
  primary key (rule_id, rule_version)"""

STATEMENTS = (
    """alter table rules.tolerance
      add column origin text not null default '*',
      add column destination text not null default '*',
      add column value_from numeric(18,2),
      add column value_to numeric(18,2),
      add column unplanned_amount numeric(18,2) check (unplanned_amount >= 0),
      add check (value_to > value_from)""",
    """comment on table rules.tolerance is
      'How much a carrier may bill beyond plan. The most specific rule counts: one that names the carrier before one that '
      'does not; of those one for a band of planned amounts, then one for the charge, then one for the lane (origin and '
      'destination are beginnings of postal codes, the longer the more specific). over_mode either: the larger limit '
      'counts, both: the smaller. No under limit: billing less is always accepted.'""",
    "comment on column rules.tolerance.value_from is 'Planned amounts from here on ...'",
    "comment on column rules.tolerance.value_to is '... and below this; null: no bound.'",
    """comment on column rules.tolerance.unplanned_amount is
      'How much of a charge that was not planned is accepted on a second bill (supplemental, balance due, correction); '
      'null: nothing.'""",
    """alter table rules.settlement_policy
      add column dispute_mode text not null default 'hold' check (dispute_mode in ('hold', 'short_pay', 'pay_and_claim')),
      add column claim_account text not null default '1350',
      add column recovery_account text not null default '1150',
      add column auto_approve_amount numeric(18,2) check (auto_approve_amount >= 0),
      add column contest_days int default 180 check (contest_days > 0),
      add column acknowledge_days int default 30 check (acknowledge_days > 0),
      add column extra_bill_days int default 180 check (extra_bill_days > 0)""",
    """comment on table rules.settlement_policy is
      'How a carrier is settled: where approved freight is owed, what becomes of a bill that does not fit, up to which '
      'amount a fitting bill needs no person, and the clocks. Most specific wins: carrier, any.'""",
    """comment on column rules.settlement_policy.dispute_mode is
      'hold: nothing of the bill is paid until the dispute ends (some tariffs forbid paying less than billed); short_pay: '
      'what is owed is paid, the rest disputed; pay_and_claim: all is paid, the rest claimed back.'""",
    """comment on column rules.settlement_policy.recovery_account is
      'Where money that a carrier gives back is booked until the bank shows it.'""",
    """comment on column rules.settlement_policy.contest_days is
      'Days from receipt in which a bill must be contested: 180 by 49 USC 13710(a)(3)(B) for motor carriers of the United '
      'States; null: no limit.'""",
    """comment on column rules.settlement_policy.acknowledge_days is
      'Days in which the carrier must acknowledge a claim: 30 by 49 CFR 378.7.'""",
    """comment on column rules.settlement_policy.extra_bill_days is
      'Days from the receipt of the first bill in which a carrier must bill further charges: 180 by 49 USC '
      '13710(a)(3)(A); null: no limit.'""",
    """create table rules.dispute_reason (
      rule_id text not null,
      rule_version int not null check (rule_version > 0),
      reason_code text not null,
      description text not null,
      verdict text,
      claim_account text,
      write_off_account text not null,"""
    + VERSIONED
    + ")",
    """comment on table rules.dispute_reason is
      'Why a bill is disputed, and the ledger accounts: where a claim of this kind is kept (null: as the carrier''s policy '
      'says) and where it ends when it is given up. verdict: the verdict on a line that opens a case for this reason.'""",
    """create table rules.carrier_alias (
      rule_id text not null,
      rule_version int not null check (rule_version > 0),
      alias text not null,
      scac text not null,"""
    + VERSIONED
    + ")",
    """comment on table rules.carrier_alias is
      'Who bills in whose name: a factoring company, or a code that the carrier had before. Its bills are the carrier''s, so '
      'that the same bill from both is one.'""",
    """do $$ declare name text; begin
      foreach name in array array['dispute_reason', 'carrier_alias'] loop
        execute format('create trigger append_only before update or delete or truncate on rules.%I
                        for each statement execute function ops.refuse_change()', name);
      end loop; end $$""",
    "create schema cases",
    "comment on schema cases is 'What people, and carriers, said about bills: proposals, answers, approvals. Append-only.'",
    """create table cases.dispute_event (
      event_id bigint generated always as identity primary key,
      carrier_invoice_id text not null,
      kind text not null check (kind in
        ('proposal', 'recommendation', 'acceptance', 'refusal', 'acknowledgement', 'recovery', 'write_off')),
      party text not null check (party in ('us', 'carrier')),
      answers_event_id bigint references cases.dispute_event,
      reason_code text,
      note text not null default '',
      reference text,
      currency text,
      channel text not null check (channel in ('api', 'cli', 'airflow', 'edi')),
      said_by text not null,
      approved_by text,
      event_sha256 bytea not null unique,
      said_at timestamptz not null,
      recorded_at timestamptz not null default clock_timestamp(),
      check (approved_by <> said_by),
      check ((kind in ('recommendation', 'acceptance', 'refusal')) = (answers_event_id is not null)))""",
    """comment on table cases.dispute_event is
      'One thing said in the dispute of a carrier''s bill. A proposal names what is to be paid in all, charge by charge; the '
      'other side accepts or refuses it, or makes a proposal of its own. A recommendation is ours, to accept a proposal that '
      'only somebody else may accept. A recovery is money or a credit that came for a '
      'claim; a write-off gives a claim up.'""",
    "create index on cases.dispute_event (carrier_invoice_id, event_id)",
    """create table cases.dispute_event_line (
      event_id bigint not null references cases.dispute_event,
      shipment_id text not null,
      charge_code text not null,
      amount numeric(18,2) not null,
      primary key (event_id, shipment_id, charge_code))""",
    """create table cases.invoice_approval (
      approval_id bigint generated always as identity primary key,
      carrier_invoice_id text not null,
      verdict text not null check (verdict in ('approved', 'rejected')),
      amount numeric(18,2) not null,
      currency text not null,
      note text not null default '',
      channel text not null check (channel in ('api', 'cli', 'airflow')),
      decided_by text not null,
      decided_at timestamptz not null default clock_timestamp())""",
    """comment on table cases.invoice_approval is
      'A person''s yes or no to a bill that fits and is more than its carrier''s policy lets through; for the amount that it '
      'had then.'""",
    "create index on cases.invoice_approval (carrier_invoice_id, approval_id)",
    """do $$ declare t record; begin
      for t in select tablename from pg_tables where schemaname = 'cases' loop
        execute format('create trigger append_only before update or delete or truncate on cases.%I
                        for each statement execute function ops.refuse_change()', t.tablename);
      end loop; end $$""",
    "grant usage on schema cases to freightsync_app, freightsync_dbt, freightsync_report",
    "grant select on all tables in schema cases to freightsync_app, freightsync_dbt, freightsync_report",
    "grant insert on all tables in schema cases to freightsync_app",
    """alter default privileges in schema cases
      grant select on tables to freightsync_app, freightsync_dbt, freightsync_report""",
    "alter default privileges in schema cases grant insert on tables to freightsync_app",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("rules and what people said are append-only: restore a backup instead")
