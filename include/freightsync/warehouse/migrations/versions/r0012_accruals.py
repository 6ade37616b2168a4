"""Accrual policies by trigger, basis and business unit; allocation; exchange rates, and which of them speak; period ends
at which open items in foreign currency are revalued."""

from alembic import op

revision = "0012_accruals"
down_revision = "0011_intake"
branch_labels = None
depends_on = None

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
    "allocation_policy": (
        """scac text not null default '*', charge_code text not null default '*', business_unit text not null default '*',
  measures text[] not null check (measures <@ array['weight', 'volume', 'value', 'pieces'] and cardinality(measures) > 0),""",
        "By what a charge is shared among the order lines that it carried: the first measure that all of them "
        "have. Most specific wins: charge, carrier, business unit.",
    ),
    "currency_policy": (
        """business_unit text not null default '*',
  functional_currency text not null check (functional_currency ~ '^[A-Z]{3}$'),
  rate_source text not null, rate_max_age_days int not null check (rate_max_age_days >= 0),
  gain_account text not null, loss_account text not null,
  unrealised_gain_account text not null, unrealised_loss_account text not null, revaluation_account text not null,""",
        "In which currency a business unit keeps its books, which exchange rates hold there and how old they may be, and "
        "where exchange differences go. Most specific wins: business unit, any.",
    ),
}

REFUSE = """
create trigger append_only before update or delete or truncate on {name}
  for each statement execute function ops.refuse_change();
"""

ACCRUAL_POLICY = """
alter table rules.accrual_policy
  add column charge_code text not null default '*',
  add column business_unit text not null default '*',
  add column basis text not null default 'planned_or_rated'
    check (basis in ('planned', 'planned_or_rated', 'percent_of_planned', 'none')),
  add column percent numeric(7,4) check (percent >= 0 and percent <= 1000),
  add column minimum_amount numeric(18,2) check (minimum_amount >= 0),
  add check (from_milestone in ('dispatched', 'picked_up', 'delivered', 'pod_received')),
  add check ((basis = 'percent_of_planned') = (percent is not null));
comment on table rules.accrual_policy is
  'From which milestone freight is owed, how much of it, and where it is kept until billed. Most specific wins: charge, carrier, business unit.';
comment on column rules.accrual_policy.basis is
  'planned: what the plan says; planned_or_rated: and what the contract says where the plan has no rate; percent_of_planned: so much of either; none: nothing is accrued';
comment on column rules.accrual_policy.minimum_amount is
  'in functional currency; a charge below it is not accrued';
"""

EXCHANGE_RATE = """
create table landing.exchange_rate (
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
  exchange_rate_id text not null, version int not null, changed_at timestamptz, from_currency text, to_currency text,
  rate numeric(20,10), source text, rate_on date);
create index on landing.exchange_rate (batch_id);
create index on landing.exchange_rate (exchange_rate_id, version);
create index on landing.exchange_rate (from_currency, to_currency, source, rate_on);
"""

REVALUATION = """
create table effects.revaluation (
  revaluation_id bigint generated always as identity primary key,
  period text not null check (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
  requested_by text not null,
  note text not null default '',
  requested_at timestamptz not null default clock_timestamp());
comment on table effects.revaluation is
  'Asked for: the open items of a period revalued at its last day, with the rates known by then. The latest row of a period counts.';
create index on effects.revaluation (period, revaluation_id desc);
-- the few entries that have an exchange rate at all
create index movement_foreign on effects.movement (period) where currency <> functional_currency;
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name, (columns, comment) in RULES.items():
        connection.execute(f"create table rules.{name} ({VERSIONED.format(columns=columns)});")
        connection.execute(f"comment on table rules.{name} is '{comment}'")
        connection.execute(REFUSE.format(name=f"rules.{name}"))
    connection.execute(ACCRUAL_POLICY)
    connection.execute(EXCHANGE_RATE + REFUSE.format(name="landing.exchange_rate"))
    connection.execute(REVALUATION + REFUSE.format(name="effects.revaluation"))
    # the view of every landed record gets one more part: its own definition, as it stands, and the new table
    (definition,) = connection.execute("select pg_get_viewdef('landing.record'::regclass, true)").fetchone()
    connection.execute(
        f"create or replace view landing.record as {definition.rstrip().rstrip(';')}\nunion all\n"
        "select 'erp.exchange_rate'::text as feed, record_id, batch_id, document_id, correlation_id, partner, amount, "
        "currency from landing.exchange_rate"
    )


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
