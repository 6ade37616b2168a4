"""Where freight cost goes: cost of goods sold, landed cost or expense, as a policy; and which way a shipment goes."""

from alembic import op

revision = "0021_costs"
down_revision = "0020_ledger"
branch_labels = None
depends_on = None

STATEMENTS = (
    """alter table landing.shipment_plan add column direction text""",
    """comment on column landing.shipment_plan.direction is
      'inbound: goods that we buy; outbound: goods that we sell; null: the TMS does not say, which is outbound.'""",
    """create table rules.cost_policy (
      rule_id text not null,
      rule_version int not null check (rule_version > 0),
      direction text not null default '*' check (direction in ('inbound', 'outbound', '*')),
      scac text not null default '*',
      charge_code text not null default '*',
      business_unit text not null default '*',
      treatment text not null check (treatment in ('expense', 'cogs', 'landed_cost')),
      cost_account text,
      sold_account text,
      valid_from date not null,
      valid_to date check (valid_to >= valid_from),
      recorded_at timestamptz not null default clock_timestamp(),
      recorded_by text not null,
      note text not null,
      primary key (rule_id, rule_version),
      -- what was spent to reach the customer is no part of what the goods cost to have (IAS 2.16(d), ASC 330-10-35)
      constraint outbound_freight_is_never_inventoried check (treatment <> 'landed_cost' or direction = 'inbound'),
      constraint cost_of_goods_needs_its_account check (treatment = 'expense' or cost_account is not null),
      constraint landed_cost_needs_an_account_for_goods_sold
        check ((treatment = 'landed_cost') = (sold_account is not null)))""",
    """comment on table rules.cost_policy is
      'Where approved freight goes: an expense, the cost of goods sold, or the landed cost of goods bought. Most specific '
      'wins: direction, charge, carrier, business unit.'""",
    """comment on column rules.cost_policy.cost_account is
      'Debited; null (an expense only): the account of the charge, as the charge code map says.'""",
    """comment on column rules.cost_policy.sold_account is
      'Landed cost only: the account for the share of goods that were sold when the bill came.'""",
    """create trigger append_only before update or delete or truncate on rules.cost_policy
      for each statement execute function ops.refuse_change()""",
)


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    for statement in STATEMENTS:
        connection.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("rules are append-only: restore a backup instead")
