"""Tax: dated rules by country, what the ERP says of customers and items, questions asked, e-invoices written."""

from alembic import op

revision = "0013_tax"
down_revision = "0012_accruals"
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

TABLES = {
    "tax_zone": (
        "zone text not null, country text not null,",
        "Which country belongs to which zone. A zone named as a country adapter says whose sellers that adapter judges.",
    ),
    "tax_identifier": (
        "country text not null, pattern text not null,",
        "What a tax number of the country looks like, as a regular expression over the number without blanks.",
    ),
    "tax_rule": (
        """adapter text not null, priority int not null, conditions jsonb not null,
  consideration_up_to numeric(18,2) check (consideration_up_to > 0),
  treatment text not null check (treatment in
    ('taxed', 'taxed_excess', 'not_taxed', 'as_goods', 'reverse_charge', 'refused')),
  category text check (category in ('S', 'Z', 'E', 'AE', 'K', 'G', 'O', 'L', 'M')),
  place text check (place in ('seller', 'customer', 'ship_from', 'ship_to')),
  rate_class text, local_rates text not null default 'none' check (local_rates in
    ('none', 'ship_to', 'ship_from', 'origin_in_state')),
  reason_code text, reason text not null, source text not null,
  kinds jsonb generated always as (rules.tax_values(conditions, 'line.kind')) stored,
  regions jsonb generated always as (rules.tax_values(conditions, 'ship_to.region')) stored,
  check ((category is null) = (treatment in ('as_goods', 'refused'))),
  check (place is not null or treatment in ('as_goods', 'refused')),
  check (rate_class is not null or treatment not in ('taxed', 'taxed_excess')),""",
        "How a line is taxed. Of the rules of the seller''s adapter whose conditions hold, the highest priority wins; one "
        "that can''t be judged because a fact is missing refuses.",
    ),
    "tax_rate": (
        """country text not null, region text not null default '*', rate_class text not null, tax_name text not null,
  rate_percent numeric(7,4) not null check (rate_percent between 0 and 100),""",
        "Percent by place and class. A class may have several taxes (CGST and SGST), each a rule of its own.",
    ),
    "tax_seller": (
        """seller_id text not null, legal_name text not null, street text, city text, postal_code text,
  country text not null, region text, tax_id text, registration_id text, endpoint text, endpoint_scheme text,
  contact_name text, contact_phone text, contact_email text, iban text, bic text,""",
        "Our establishments that sell: what an invoice says of the seller.",
    ),
    "tax_registration": (
        """seller_id text not null, country text not null, region text not null default '*', tax_id text,
  attributes jsonb not null default '{{}}',""",
        "Where a seller is registered for tax, under which number, with which declarations.",
    ),
    "tax_policy": (
        """billing_entity text not null default '*', country text not null default '*', is_charged boolean not null,
  seller_id text, supply text not null default 'goods' check (supply in ('goods', 'transport')),
  own_scacs jsonb not null default '[]', tax_account text,
  check (not is_charged or (seller_id is not null and tax_account is not null)),""",
        "Whether our customer invoices carry tax, by billing entity and country of delivery; most specific wins.",
    ),
}

REFUSE = """
create trigger append_only before update or delete or truncate on {name}
  for each statement execute function ops.refuse_change();
"""

FEEDS = {
    "tax_profile": (
        """profile_id text not null, version int not null, changed_at timestamptz, country text, region text,
  postal_code text, city text, street text, legal_name text, status text, tax_id text, tax_class text,
  certificates jsonb, attributes jsonb, endpoint text, endpoint_scheme text, buyer_reference text""",
        "erp.tax_profile",
        "profile_id, version",
    ),
    "tax_rate": (
        """rate_id text not null, version int not null, changed_at timestamptz, country text, region text,
  postal_code text, jurisdiction text, rate_class text, rate_percent numeric(7,4), valid_from date, valid_to date""",
        "erp.tax_rate",
        "rate_id, version",
    ),
}

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
create index on landing.{name} ({key});
"""

QUESTION = """
create table ops.tax_question (
  document_id text not null,
  line_id text not null,
  kind text not null check (kind in ('goods', 'freight', 'accessorial')),
  stated text not null default 'separate' check (stated in ('separate', 'included')),
  amount numeric(18,2) not null,
  cost numeric(18,2),
  currency text not null,
  tax_on date not null,
  known_at timestamptz not null,
  supply text not null check (supply in ('goods', 'transport')),
  seller_id text not null,
  tax_class text,
  carrier text check (carrier in ('common', 'own')),
  arranged_by text not null default 'seller' check (arranged_by in ('seller', 'buyer')),
  ship_from_country text, ship_from_region text, ship_from_postal text,
  ship_to_country text, ship_to_region text, ship_to_postal text,
  customer_country text, customer_region text,
  customer_status text, customer_tax_id text,
  certificates jsonb not null default '[]',
  attributes jsonb not null default '{}',
  primary key (document_id, line_id));
comment on table ops.tax_question is
  'Lines that somebody asks the tax of without billing them; deleted in the transaction that asks. Read by decisions.tax_line.';
create index on landing.tax_rate (country, region, postal_code);
"""

EINVOICE = """
create table effects.einvoice (
  einvoice_id bigint generated always as identity primary key,
  journal_id uuid not null,
  aggregate_id text not null,
  profile text not null,
  invoice_number text not null,
  type_code text not null,
  name text not null,
  content bytea not null,
  content_sha256 bytea not null,
  findings jsonb not null default '[]',
  written_at timestamptz not null default clock_timestamp(),
  unique (journal_id, profile, content_sha256));
comment on table effects.einvoice is
  'One row: an e-invoice written of one customer invoice document (outbox, journal_id), with what the checks found.';
create index on effects.einvoice (aggregate_id);
"""

VALUES = """
create function rules.tax_values(conditions jsonb, fact text) returns jsonb language sql immutable parallel safe as $$
  select conditions -> fact -> 'in'
$$;
comment on function rules.tax_values is 'The values that a condition allows a fact to have; null where it asks otherwise or not.';
"""

# plpgsql keeps its plan over calls and is not spread over the queries that use it
KNOWN = """
create function rules.tax_known(known_at timestamptz) returns timestamptz language plpgsql stable parallel safe as $$
begin
  return greatest({maxima}, '-infinity'::timestamptz);
end $$;
comment on function rules.tax_known is
  'The last change of any tax rule that was known at a moment: decides like that moment, and is the same for many.';
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(VALUES)
    for name, (columns, comment) in TABLES.items():
        body = VERSIONED.replace("{columns}", columns.replace("{{}}", "{}"))
        connection.execute(f"create table rules.{name} ({body});")
        connection.execute(f"comment on table rules.{name} is '{comment}'")
        connection.execute(f"create index on rules.{name} (recorded_at)")
        connection.execute(REFUSE.format(name=f"rules.{name}"))
    maxima = ", ".join(f"(select max(recorded_at) from rules.{name} where recorded_at <= known_at)" for name in TABLES)
    connection.execute(KNOWN.replace("{maxima}", maxima))
    # what others have added to the view stays in it
    (view,) = connection.execute("select pg_get_viewdef('landing.record'::regclass)").fetchone()
    for name, (columns, feed, key) in FEEDS.items():
        connection.execute(FEED_TABLE.format(name=name, columns=columns, key=key))
        connection.execute(REFUSE.format(name=f"landing.{name}"))
        view = (
            f"{view.rstrip().rstrip(';')}\nunion all\nselect '{feed}'::text, record_id, batch_id, document_id,"
            f" correlation_id, partner, amount, currency from landing.{name}"
        )
    connection.execute(f"create or replace view landing.record as {view}")
    connection.execute(QUESTION)
    connection.execute(EINVOICE)
    connection.execute(REFUSE.format(name="effects.einvoice"))


def downgrade() -> None:
    raise NotImplementedError("rules and landing are append-only: restore a backup instead")
