"""Period close: the ERP's books as landed facts, decisions about drift and leftover accruals, sign-offs, and the rules
that say what blocks."""

from alembic import op

revision = "0015_close"
down_revision = "0014_customers"
branch_labels = None
depends_on = None

LANDED = """
create table landing.journal_entry (
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
  entry_number text not null, version int not null, sequence int, changed_at timestamptz, document_type text,
  origin text, reference text, reverses text, posted_on date, period text, entered_by text, note text, line_count int,
  debit_total numeric(18,2), credit_total numeric(18,2));
comment on table landing.journal_entry is 'A document in the ERP''s ledger, one version of it, whoever posted it.';
create index on landing.journal_entry (batch_id);
create index on landing.journal_entry (entry_number, version);
create index on landing.journal_entry (('erp:' || entry_number));
create table landing.journal_entry_line (
  record_id bigint not null references landing.journal_entry,
  line int not null,
  account text,
  debit numeric(18,2),
  credit numeric(18,2),
  primary key (record_id, line));
create table landing.trial_balance (
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
  period text, as_of timestamptz, through_sequence int, account text, debit numeric(18,2), credit numeric(18,2));
comment on table landing.trial_balance is
  'What the ERP says that an account saw in one period, as of one moment. Every reading is kept.';
create index on landing.trial_balance (batch_id);
create index on landing.trial_balance (period, as_of);
"""

# whatever feeds other migrations have added stay in it
RECORD_VIEW = """
do $$
begin
  execute 'create or replace view landing.record as ' || rtrim(pg_get_viewdef('landing.record'::regclass), '; ')
    || ' union all select ''erp.journal_entry''::text, record_id, batch_id, document_id, correlation_id, partner,
         amount, currency from landing.journal_entry
       union all select ''erp.trial_balance''::text, record_id, batch_id, document_id, correlation_id, partner,
         amount, currency from landing.trial_balance';
end $$;
"""

DECISIONS = """
create table effects.drift_decision (
  decision_id bigint generated always as identity primary key,
  document text not null,
  reason text not null,
  decision text not null check (decision in ('adopt', 'repost')),
  difference jsonb not null,
  transfers jsonb not null,
  amount numeric(18,2) not null,
  fingerprint text not null,
  proposed_by text not null,
  note text not null check (note <> ''),
  proposed_at timestamptz not null default clock_timestamp());
comment on table effects.drift_decision is
  'What somebody proposes to do about a document of which the ERP''s books and ours say different things. In effect once another person has approved it.';
comment on column effects.drift_decision.document is 'erp:<number> of a document in the ERP, or the journal id of one of ours.';
comment on column effects.drift_decision.difference is 'By period, account and currency, as it was seen: the ERP''s less ours.';
comment on column effects.drift_decision.transfers is
  'The movements that follow from it, frozen: what was approved is what is posted, whatever the books say later.';
create index on effects.drift_decision (document);

create table effects.accrual_release_proposal (
  proposal_id bigint generated always as identity primary key,
  run_id text not null,
  shipment_id text not null,
  charge_code text not null,
  scac text not null,
  account text not null,
  release_account text not null,
  currency text not null,
  open_amount numeric(18,2) not null check (open_amount <> 0),
  functional_currency text not null,
  functional_amount numeric(18,2) not null,
  accrued_on date not null,
  age_days int not null,
  rule_id text not null,
  rule_version text not null,
  reason text not null,
  correlation_id text,
  proposed_by text not null,
  proposed_at timestamptz not null default clock_timestamp());
comment on table effects.accrual_release_proposal is
  'An accrual that nobody has billed for longer than the policy waits, as it stood when it was proposed for release.';
create index on effects.accrual_release_proposal (shipment_id, charge_code);

create table effects.decision_approval (
  subject text not null check (subject in ('drift', 'accrual_release')),
  subject_id bigint not null,
  verdict text not null check (verdict in ('approved', 'refused')),
  approved_by text not null,
  role text,
  rule_id text,
  rule_version text,
  note text not null default '',
  approved_at timestamptz not null default clock_timestamp(),
  primary key (subject, subject_id));
comment on table effects.decision_approval is 'Another person''s yes or no, once, with the limit under which it was given.';

create table effects.document_move (
  move_id bigint generated always as identity primary key,
  journal_id uuid not null,
  new_journal_id uuid unique,
  replaced_journal_id uuid,
  posted_on date not null,
  period text not null,
  why text not null,
  moved_by text not null,
  decision_id bigint references effects.drift_decision,
  moved_at timestamptz not null default clock_timestamp());
comment on table effects.document_move is
  'A document of ours that stands in another period than it was made for: sent again under a new key after the ERP refused or lost it, or found by the ERP in that period. The latest row of a journal wins.';
create index on effects.document_move (journal_id, move_id desc);
create index on effects.document_move (replaced_journal_id);

create table effects.period_sign_off (
  sign_off_id bigint generated always as identity primary key,
  period text not null check (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
  action text not null check (action in ('close', 'reopen')),
  requested_by text not null,
  approved_by text not null,
  role text not null,
  rule_id text not null,
  rule_version text not null,
  run_id text not null,
  figures_sha256 text not null,
  figures jsonb not null,
  note text not null default '',
  signed_at timestamptz not null default clock_timestamp(),
  check (approved_by <> requested_by));
comment on table effects.period_sign_off is 'Who signed which figures of a period, for closing it or for opening it again.';
create index on effects.period_sign_off (period, sign_off_id desc);

create table effects.closing_report (
  report_id bigint generated always as identity primary key,
  period text not null,
  sign_off_id bigint not null references effects.period_sign_off,
  name text not null,
  content bytea not null,
  content_sha256 text not null,
  made_at timestamptz not null default clock_timestamp());
comment on table effects.closing_report is 'The workbook of a closed period, as it was when it was closed.';

create function effects.refuse_own_approval() returns trigger language plpgsql as $$
declare proposer text;
begin
  if new.subject = 'drift' then
    select proposed_by into proposer from effects.drift_decision where decision_id = new.subject_id;
  else
    select proposed_by into proposer from effects.accrual_release_proposal where proposal_id = new.subject_id;
  end if;
  if proposer is null then
    raise exception 'there is no % %', new.subject, new.subject_id using errcode = 'foreign_key_violation';
  end if;
  if new.verdict = 'approved' and lower(proposer) = lower(new.approved_by) then
    raise exception '% % was proposed by %, who may not approve it', new.subject, new.subject_id, proposer
      using errcode = 'check_violation', hint = 'Another person looks at it.';
  end if;
  return new;
end $$;
create trigger four_eyes before insert on effects.decision_approval
  for each row execute function effects.refuse_own_approval();

-- documents are compared with the ERP's one by one
create index on effects.movement (journal_id);
"""

VERSIONED = """
  rule_id text not null,
  rule_version int not null check (rule_version > 0),
  {columns}
  valid_from date not null,
  valid_to date check (valid_to >= valid_from),
  recorded_at timestamptz not null default clock_timestamp(),
  recorded_by text not null,
  note text not null,
  primary key (rule_id, rule_version)"""

RULES = {
    "cutoff": (
        """feed text not null, consumer text not null, hours_after int not null check (hours_after >= 0),""",
        "Until how many hours after a period''s end facts of a feed are awaited. Its consumer must have looked once more "
        "after that before the period is closed.",
    ),
    "close_check": (
        """check_name text not null, effect text not null check (effect in ('block', 'warn')),""",
        "What is looked at before a period is closed, and whether it blocks.",
    ),
    "accrual_release": (
        """scac text not null default '*', charge_code text not null default '*',
  after_days int not null check (after_days > 0), release_account text not null,""",
        "After how many days without a bill an accrual is proposed for release, and to which account. Most specific "
        "wins: carrier+charge, carrier, charge, any.",
    ),
    "approval_limit": (
        """role text not null, subject text not null
    check (subject in ('accrual_release', 'drift', 'period_close', 'period_reopen', 'dispute', 'carrier_invoice')),
  max_amount numeric(18,2) check (max_amount >= 0),""",
        "What a role may approve, up to which amount in the document''s currency; no amount: without limit.",
    ),
    "approver": (
        """person text not null, role text not null,""",
        "Who has which role in approvals.",
    ),
}


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(LANDED)
    connection.execute(RECORD_VIEW)
    connection.execute(DECISIONS)
    for name in (
        "landing.journal_entry",
        "landing.journal_entry_line",
        "landing.trial_balance",
        "effects.drift_decision",
        "effects.accrual_release_proposal",
        "effects.decision_approval",
        "effects.document_move",
        "effects.period_sign_off",
        "effects.closing_report",
    ):
        connection.execute(_append_only(name))
    for name, (columns, comment) in RULES.items():
        connection.execute(f"create table rules.{name} ({VERSIONED.format(columns=columns)});")
        connection.execute(f"comment on table rules.{name} is '{comment}'")
        connection.execute(_append_only(f"rules.{name}"))


def _append_only(table: str) -> str:
    return (
        f"create trigger append_only before update or delete or truncate on {table}"
        " for each statement execute function ops.refuse_change()"
    )


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
