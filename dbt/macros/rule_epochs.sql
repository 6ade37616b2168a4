{#
  Rules for millions of rows. Between two changes of a rule table all days, and all moments of knowing, have the same
  answer: so number them, group by the numbers, and ask `rule_in_force` once a group, with any member's own day and
  moment. Both are binary searches in an array that is made once a statement.

  rule_day(table, day)             number of the stretch of days in which the same versions hold
  rule_known(table, known_at)      number of the stretch of time in which the same versions were known
#}
{% macro rule_day(table, day) -%}
coalesce(width_bucket({{ day }}, (
    select array_agg(turn.on_day order by turn.on_day)
    from (
        select valid_from as on_day from {{ source('rules', table) }}
        union
        select valid_to + 1 from {{ source('rules', table) }} where valid_to is not null
    ) as turn
)), -1)
{%- endmacro %}

{% macro rule_known(table, known_at) -%}
coalesce(width_bucket({{ known_at }}, (
    select array_agg(distinct rule.recorded_at order by rule.recorded_at) from {{ source('rules', table) }} as rule
)), -1)
{%- endmacro %}

{# The same for `expense_account`: the stretch of time in which the charge code map says the same. #}
{% macro charge_code_at(at) -%}
coalesce(width_bucket({{ at }}, (
    select array_agg(turn.moment order by turn.moment)
    from (
        select valid_from as moment from {{ ref('charge_code') }}
        union
        select valid_to from {{ ref('charge_code') }} where valid_to is not null
        union
        select valid_from_on::timestamptz from {{ ref('charge_code') }} where valid_from_on is not null
        union
        select (valid_to_on + 1)::timestamptz from {{ ref('charge_code') }} where valid_to_on is not null
    ) as turn
)), -1)
{%- endmacro %}
