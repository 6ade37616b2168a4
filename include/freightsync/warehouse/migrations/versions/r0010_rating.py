"""Rate cards, fuel prices and band tables as feeds; what a plan says for rating; the order of lanes as a rule."""

from alembic import op

revision = "0010_rating"
down_revision = "0008_settlement"
branch_labels = None
depends_on = None

# name -> (feed, own columns)
FEED_TABLES = {
    "rate_contract": (
        "rates.contract",
        """contract_id text not null, version int not null, side text, scac text, customer_id text, mode text,
        rate_currency text, class_table text, fak_class numeric(4,1), fak_from_class numeric(4,1),
        fak_to_class numeric(4,1), minimum_charge numeric(18,2), discount_percent numeric(6,3),
        discount_as_line boolean, deficit_weight boolean, dim_divisor numeric(8,2), dim_per text,
        weight_increment_lb numeric(8,3), fuel_table text, fuel_index text, fuel_region text, fuel_weekday int,
        fuel_lag_weeks int, fuel_on text, rounding text, valid_from date, valid_to date""",
    ),
    "rate_lane": (
        "rates.lane_rate",
        """rate_id text not null, version int not null, contract_id text, origin_kind text, origin_country text,
        origin text, destination_kind text, destination_country text, destination text, equipment text,
        freight_class numeric(4,1), basis text, minimum_charge numeric(18,2), discount_percent numeric(6,3),
        valid_from date, valid_to date, break_count int""",
    ),
    "rate_accessorial": (
        "rates.accessorial",
        """accessorial_id text not null, version int not null, contract_id text, charge_code text, basis text,
        rate numeric(14,4), minimum_charge numeric(18,2), maximum_charge numeric(18,2), free_units numeric(10,2),
        automatic boolean, valid_from date, valid_to date""",
    ),
    "rate_zone": (
        "rates.zone",
        """zone_id text not null, version int not null, contract_id text, zone text, country text, postal_prefix text,
        valid_from date, valid_to date""",
    ),
    "rate_band_table": (
        "rates.band_table",
        """table_id text not null, version int not null, kind text, valid_from date, valid_to date, band_count int""",
    ),
    "fuel_price": (
        "rates.fuel_price",
        """fuel_index text not null, region text not null, week_on date not null, price numeric(10,4),
        published_at timestamptz""",
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
"""

LINES = """
create table landing.rate_lane_line (
  record_id bigint not null references landing.rate_lane,
  line int not null,
  from_quantity numeric(14,3),
  rate numeric(14,4),
  primary key (record_id, line));
create table landing.rate_band_table_line (
  record_id bigint not null references landing.rate_band_table,
  line int not null,
  from_value numeric(14,4),
  value numeric(14,4),
  primary key (record_id, line));
"""

KEYS = """
create index on landing.rate_contract (contract_id, version);
create index on landing.rate_lane (rate_id, version);
create index on landing.rate_lane (contract_id);
create index on landing.rate_accessorial (accessorial_id, version);
create index on landing.rate_accessorial (contract_id);
create index on landing.rate_zone (zone_id, version);
create index on landing.rate_zone (contract_id);
create index on landing.rate_band_table (table_id, version);
create index on landing.fuel_price (fuel_index, region, week_on);
"""

# what rating needs and a plan may carry
PLAN = """
alter table landing.shipment_plan
  add column mode text,
  add column miles numeric(12,3),
  add column pallets int,
  add column freight_class numeric(6,2),
  add column handling_units jsonb,
  add column accessorials jsonb;
comment on column landing.shipment_plan.handling_units is
  '[{count, length_in, width_in, height_in, weight_lb, freight_class}]: weight and dimensions of one of them';
comment on column landing.shipment_plan.accessorials is '[{charge_code, quantity}]: what the move will ask for';
"""

SPECIFICITY = """
create table rules.lane_specificity (
  rule_id text not null,
  rule_version int not null check (rule_version > 0),
  origin_kind text not null check (origin_kind in ('postal', 'zone', 'state', 'country', 'any')),
  destination_kind text not null check (destination_kind in ('postal', 'zone', 'state', 'country', 'any')),
  points int not null,
  valid_from date not null,
  valid_to date check (valid_to >= valid_from),
  recorded_at timestamptz not null default clock_timestamp(),
  recorded_by text not null,
  note text not null,
  primary key (rule_id, rule_version));
comment on table rules.lane_specificity is
  'Which of several lanes that fit a move speaks: more points first, then longer postal prefixes, then named equipment, then a named class. Two that are alike in all of it are an exception.';
create trigger append_only before update or delete or truncate on rules.lane_specificity
  for each statement execute function ops.refuse_change();
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name, (_, columns) in FEED_TABLES.items():
        connection.execute(FEED_TABLE.format(name=name, columns=columns))
    connection.execute(LINES)
    connection.execute(KEYS)
    for name in (*FEED_TABLES, "rate_lane_line", "rate_band_table_line"):
        connection.execute(
            f"create trigger append_only before update or delete or truncate on landing.{name} "
            "for each statement execute function ops.refuse_change()"
        )
    row = connection.execute("select pg_get_viewdef('landing.record'::regclass)").fetchone()
    assert row is not None
    known = row[0].rstrip().rstrip(";")
    parts = [
        f"select '{feed}'::text as feed, record_id, batch_id, document_id, correlation_id, partner, amount, currency "
        f"from landing.{name}"
        for name, (feed, _) in FEED_TABLES.items()
    ]
    connection.execute("create or replace view landing.record as " + " union all ".join([known, *parts]))
    connection.execute(PLAN)
    connection.execute(SPECIFICITY)


def downgrade() -> None:
    raise NotImplementedError("the log is append-only: restore a backup instead")
