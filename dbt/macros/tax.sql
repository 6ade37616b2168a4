{#
  Tax by data: dated rules of the seller's country adapter. Each lookup is a lateral over small tables, in memory after
  the first; a line costs the few rules that speak of its kind and state. Lookups whose parameters repeat (rates by place,
  class and day; `known_at` reduced to the last change of any tax rule before it) are kept by PostgreSQL (Memoize).

  What was known then speaks; what was recorded later speaks only where nothing known then does, because a decision that
  could not be made has not been made.
#}

{# The moment of the last change of any tax rule that was known at `known_at`: as good as that, and the same for many. #}
{% macro tax_known(known_at) -%}
    rules.tax_known({{ known_at }})
{%- endmacro %}

{# Of each rule that fits, its version in force on `valid_on`: the newest known at `known_at`, else the first after. #}
{% macro tax_versions(table, applies, valid_on, known_at) -%}
(
    select newest.*
    from (
        select distinct on (rule.rule_id)
            rule.*,
            rule.recorded_at > {{ known_at }} as is_later
        from {{ source('rules', table) }} as rule
        where {{ applies }} and rule.valid_from <= {{ valid_on }}
        order by
            rule.rule_id,
            rule.recorded_at > {{ known_at }},
            case when rule.recorded_at <= {{ known_at }} then rule.rule_version end desc nulls last,
            rule.rule_version
    ) as newest
    where newest.valid_to is null or {{ valid_on }} <= newest.valid_to
)
{%- endmacro %}

{# How one place lies to another. #}
{% macro tax_nearness(from_country, from_region, to_country, to_region) -%}
    case
        when {{ from_country }} is null or {{ to_country }} is null then null
        when {{ from_country }} <> {{ to_country }} then 'abroad'
        when {{ from_region }} = {{ to_region }} then 'same_region'
        else 'same_country'
    end
{%- endmacro %}

{#
  The rule that decides a line with these facts. One that could hold if a fact were known, and that would win, refuses:
  its name and what is missing come back. No row: no rule. `applies` says which lines are looked at.
#}
{% macro tax_decision(line, facts, applies) -%}
(
    select
        ranked.rule_id,
        ranked.rule_version,
        ranked.treatment,
        ranked.category,
        ranked.place,
        ranked.rate_class,
        ranked.local_rates,
        ranked.reason_code,
        ranked.reason,
        tested.missing
    from (
        select found.*
        from {{ tax_versions(
            'tax_rule', "jsonb_exists(" ~ line ~ ".seller_zones, rule.adapter)", line ~ '.tax_on', line ~ '.known_at'
        ) }} as found
        where
            {{ applies }}
            -- what most rules ask, looked at before the rest of their conditions
            and (found.kinds is null or jsonb_exists(found.kinds, {{ line }}.kind))
            and (
                found.regions is null or {{ line }}.ship_to_region is null
                or jsonb_exists(found.regions, {{ line }}.ship_to_region)
            )
            and (found.consideration_up_to is null or {{ line }}.measured <= found.consideration_up_to)
        -- in this order, so that the first that holds ends the search
        order by found.is_later, found.priority desc, found.rule_id
        offset 0
    ) as ranked
    cross join lateral (
        select
            coalesce(
                bool_or(
                    not case
                        when asked.value ? 'in'
                            then ({{ facts }} -> asked.key) ?| array(select jsonb_array_elements_text(asked.value -> 'in'))
                        else
                            not ({{ facts }} -> asked.key)
                            ?| array(select jsonb_array_elements_text(asked.value -> 'not'))
                    end
                ), false
            ) as fails,
            string_agg(asked.key, ', ' order by asked.key) filter (where {{ facts }} -> asked.key is null) as missing
        from jsonb_each(ranked.conditions) as asked
    ) as tested
    where not tested.fails
    order by ranked.is_later, ranked.priority desc, ranked.rule_id
    limit 1
)
{%- endmacro %}

{# Whether any policy charges tax at all: one look at a small table, and nothing else is read where none does. #}
{% macro any_tax_charged() -%}
    exists (select 1 from {{ source('rules', 'tax_policy') }} as charging where charging.is_charged)
{%- endmacro %}
