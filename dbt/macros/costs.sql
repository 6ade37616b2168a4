{#
  Where freight cost goes, as the policy says that was known when its shipment set off. Looked up once a group of equal
  answers (macros/rule_epochs.sql): `keys` is a relation with direction, scac, charge_code, business_unit, cost_day and
  cost_known (rule_day and rule_known of cost_policy), and dispatched_on and dispatch_known_at behind them. Join the
  result on the first six; where there is no policy, freight is an expense on the account of its charge.
#}
{% macro cost_policies_for(keys) -%}
    select
        asked.direction,
        asked.scac,
        asked.charge_code,
        asked.business_unit,
        asked.cost_day,
        asked.cost_known,
        rule.treatment,
        rule.cost_account,
        rule.sold_account,
        rule.rule_id as cost_rule_id,
        rule.rule_version::text as cost_rule_version
    from (
        select
            direction, scac, charge_code, business_unit, cost_day, cost_known,
            min(dispatched_on) as valid_on,
            min(dispatch_known_at) as known_at
        from {{ keys }}
        group by direction, scac, charge_code, business_unit, cost_day, cost_known
    ) as asked
    cross join lateral {{ rule_in_force(
        'cost_policy', ['newest.treatment', 'newest.cost_account', 'newest.sold_account'],
        "newest.direction in (asked.direction, '*') and newest.scac in (asked.scac, '*')"
        ~ " and newest.charge_code in (asked.charge_code, '*') and newest.business_unit in (asked.business_unit, '*')",
        "newest.direction <> '*' desc, newest.charge_code <> '*' desc, newest.scac <> '*' desc,"
        ~ " newest.business_unit <> '*' desc",
        'asked.valid_on', 'asked.known_at'
    ) }} as rule
{%- endmacro %}

{#
  A functional share stands beside an amount: what rounding gave to a line whose amount is 0.00 goes to the line with the
  largest one, so that nothing is posted without an amount. Use: over rows of one whole, `amount` and `functional`.
#}
{% macro functional_with_amount(functional, amount, whole, key) -%}
    (
        case when {{ amount }} <> 0 then {{ functional }} else 0 end
        + case
            when row_number() over (
                partition by {{ whole | join(', ') }} order by abs({{ amount }}) desc, {{ key | join(', ') }}
            ) = 1
                then coalesce(
                    sum({{ functional }}) filter (where {{ amount }} = 0) over (partition by {{ whole | join(', ') }}), 0
                )
            else 0
        end
    )
{%- endmacro %}

{#
  What a plan's order is called: goods that come in are of purchase orders, whose numbers may be those of sales orders.
#}
{% macro plan_order_id(direction, order_number) -%}
    case when {{ direction }} = 'inbound' then 'erp:po:' else 'erp:' end || {{ order_number }}
{%- endmacro %}

{# The ERP's own number of either. #}
{% macro order_number_of(order_id) -%}
    regexp_replace({{ order_id }}, '^erp:(po:)?', '')
{%- endmacro %}

{#
  What goods that were sold bear of an amount, to the cent: both parts rounded towards zero, what is left goes to the
  larger one, and to the goods on hand where they are alike. So the two sum to the amount.
#}
{% macro sold_share(amount, on_hand, sold) -%}
    (
        div({{ amount }} * 100 * {{ sold }}, {{ on_hand }} + {{ sold }})
        + case
            when
                abs(div({{ amount }} * 100 * {{ sold }}, {{ on_hand }} + {{ sold }}))
                > abs(div({{ amount }} * 100 * {{ on_hand }}, {{ on_hand }} + {{ sold }}))
                then {{ amount }} * 100
                    - div({{ amount }} * 100 * {{ sold }}, {{ on_hand }} + {{ sold }})
                    - div({{ amount }} * 100 * {{ on_hand }}, {{ on_hand }} + {{ sold }})
            else 0
        end
    ) / 100
{%- endmacro %}
