{#
  The rule that applies, as known then. A version says what holds from its valid_from on and so replaces what earlier
  versions said about that time; about the days before, they still speak. So: of each rule, among the versions recorded
  by `known_at`, the newest that had begun on `valid_on`, unless it has ended; of those rules the most specific. Give
  `specificity` as ordering terms, most specific first. A decision so keeps the rule that was known when its document
  was admitted, also when everything is rebuilt.
#}
{% macro rule_in_force(table, columns, applies, specificity, valid_on, known_at) %}
(
    select newest.rule_id, newest.rule_version, {{ columns | join(', ') }}
    from (
        select distinct on (rule.rule_id) rule.*
        from {{ source('rules', table) }} as rule
        where rule.recorded_at <= {{ known_at }} and rule.valid_from <= {{ valid_on }}
        order by rule.rule_id, rule.rule_version desc
    ) as newest
    where {{ applies }}
        and (newest.valid_to is null or {{ valid_on }} <= newest.valid_to)
    order by {{ specificity }}, newest.rule_id
    limit 1
)
{% endmacro %}

{#
  The expense account of a canonical charge: the charge code map as it stood at `at`, and of that what is valid on that
  day, the carrier's own row before the general one; where no row is that old, the oldest. The order is total: what the
  accrual debited is what its reversal credits, so both ask with the shipment's carrier and its delivery.
#}
{% macro expense_account(charge_code, scac, at) %}
(
    select code.ledger_account
    from {{ ref('charge_code') }} as code
    where code.charge_code = {{ charge_code }} and code.scac in ({{ scac }}, '*')
    order by
        (code.valid_from <= {{ at }} and (code.valid_to is null or code.valid_to > {{ at }})) is true desc,
        (
            ({{ at }})::date between coalesce(code.valid_from_on, '-infinity'::date)
            and coalesce(code.valid_to_on, 'infinity'::date)
        ) is true desc,
        code.scac <> '*' desc, code.valid_from, code.charge_code_id, code.version
    limit 1
)
{% endmacro %}

{# Bands of planned amounts, counted from the limits that any tolerance names; -1: not planned. #}
{% macro value_band(amount) -%}
    coalesce(width_bucket(abs({{ amount }}), array(
        select rule.value_from from {{ source('rules', 'tolerance') }} as rule
        where rule.value_from is not null
        union
        select rule.value_to from {{ source('rules', 'tolerance') }} as rule
        where rule.value_to is not null
        order by 1
    )), -1)
{%- endmacro %}

{#
  Those of the lanes that any tolerance names which go from here to there. Whether any is named at all is asked once a
  statement, for mostly none is.
#}
{% macro lanes_named(origin, destination) -%}
    case when exists (
        select 1 from {{ source('rules', 'tolerance') }} as rule where rule.origin <> '*' or rule.destination <> '*'
    ) then array(
        select lane.origin || '>' || lane.destination
        from (
            select distinct rule.origin, rule.destination
            from {{ source('rules', 'tolerance') }} as rule
            where rule.origin <> '*' or rule.destination <> '*'
        ) as lane
        where
            (lane.origin = '*' or starts_with({{ origin }}, lane.origin))
            and (lane.destination = '*' or starts_with({{ destination }}, lane.destination))
        order by 1
    ) else '{}'::text[] end
{%- endmacro %}

{% macro tolerance_applies(asked) -%}
    newest.scac in ({{ asked }}.scac, '*')
    and newest.charge_code in ({{ asked }}.charge_code, '*')
    and (
        (newest.origin = '*' and newest.destination = '*')
        or newest.origin || '>' || newest.destination = any({{ asked }}.lanes)
    )
    and (
        (newest.value_from is null and newest.value_to is null)
        or (
            {{ asked }}.band >= 0
            and coalesce({{ value_band('newest.value_from') }} <= {{ asked }}.band or newest.value_from is null, false)
            and coalesce({{ asked }}.band < {{ value_band('newest.value_to') }} or newest.value_to is null, false)
        )
    )
{%- endmacro %}

{% macro tolerance_specificity() -%}
    newest.scac <> '*' desc, newest.value_from is not null or newest.value_to is not null desc,
    newest.charge_code <> '*' desc, length(replace(newest.origin, '*', '') || replace(newest.destination, '*', '')) desc
{%- endmacro %}
{#
  Who pays, by account or by name. It may be learnt later: what was known when the payment came is not rewritten, and a
  payment of somebody who was not known then is the customer's who was named for it first.
#}
{% macro payer(applies) %}
(
    select rule.customer_id, rule.rule_id
    from {{ source('rules', 'payer') }} as rule
    where
        {{ applies }}
        and rule.valid_from <= numbered.paid_on
        and (rule.valid_to is null or rule.valid_to >= numbered.paid_on)
    order by
        rule.recorded_at <= numbered.admitted_at desc,
        case when rule.recorded_at <= numbered.admitted_at then rule.recorded_at end desc nulls last,
        rule.recorded_at, rule.rule_id
    limit 1
)
{% endmacro %}
