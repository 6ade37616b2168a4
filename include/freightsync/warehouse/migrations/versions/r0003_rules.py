"""Rules as dated, versioned data: append-only, valid from/to (business time) and recorded at (when we knew)."""

from alembic import op

revision = "0003_rules"
down_revision = "0002_intake_lookups"
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
    "tolerance": (
        """scac text not null default '*', charge_code text not null default '*',
  over_mode text not null check (over_mode in ('either', 'both')),
  over_percent numeric(6,2) check (over_percent >= 0), over_amount numeric(18,2) check (over_amount >= 0),
  under_percent numeric(6,2) check (under_percent >= 0), under_amount numeric(18,2) check (under_amount >= 0),
  check (over_percent is not null or over_amount is not null),""",
        "How much a carrier may bill beyond plan. Most specific wins: carrier+charge, carrier, charge, any. over_mode "
        "either: the larger limit counts, both: the smaller. No under limit: billing less is always accepted.",
    ),
    "billing_policy": (
        """customer_id text not null default '*', receivable_account text not null, goods_account text not null,
  freight_account text not null,""",
        "Accounts of a customer invoice. Most specific wins: customer, any.",
    ),
    "accrual_policy": (
        """scac text not null default '*', from_milestone text not null, accrued_account text not null,""",
        "From which milestone planned freight is owed, and where it is kept until billed. Most specific wins.",
    ),
    "settlement_policy": (
        """scac text not null default '*', payable_account text not null,""",
        "Where approved freight is owed to carriers. Most specific wins: carrier, any.",
    ),
    "match_profile": (
        """scac text not null default '*',
  reference_keys text[] not null check (reference_keys <@ array['shipment_reference', 'bol', 'pro', 'po']),""",
        "Which references of carrier invoices are tried, in this order; the first that finds anything decides.",
    ),
}

REFUSE = """
create trigger append_only before update or delete or truncate on rules.{name}
  for each statement execute function ops.refuse_change();
"""

# paths that the models take into landing
ACCESS_PATHS = """
create index on landing.shipment_plan (pro_number);
create index on landing.shipment_plan (bol_number);
create index on landing.shipment_plan (('tms:' || shipment_id));
create index on landing.proof_of_delivery (('tms:' || shipment_id));
create index on landing.sales_order (('erp:' || order_number));
"""


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for name, (columns, comment) in TABLES.items():
        connection.execute(f"create table rules.{name} ({VERSIONED.format(columns=columns)});")
        connection.execute(f"comment on table rules.{name} is '{comment}'")
        connection.execute(REFUSE.format(name=name))
    connection.execute(ACCESS_PATHS)


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
