{#
  Rates are versioned rows like rules: of each id, the newest version that had begun on the day speaks, among those that
  were known; it replaces what earlier ones said from its first day on. Both times are spans here, so that a look-up is a
  comparison: a row holds for days in [valid_from, valid_to] and for decisions made in [known_from, known_to).
#}

{# Admitted records of a rates feed. A batch is known as a whole, from its gate's verdict on; a release by itself. #}
{% macro admitted_rates(table, feed) %}
    select landed.*, coalesce(gate.gated_at, admission.admitted_at) as recorded_at
    from {{ source('landing', table) }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = '{{ feed }}' and admission.record_id = landed.record_id
    left join {{ source('quality', 'gated_batch') }} as gated
        on gated.batch_id = landed.batch_id and admission.origin = 'gate'
    left join {{ source('quality', 'gate') }} as gate on gate.gate_id = gated.gate_id
{% endmacro %}

{# The spans in which each version speaks. Of two records that say the same version, the one known first counts. #}
{% macro rate_spans(staged, id, condition='true') %}
versions as (
    select distinct on ({{ id }}, version) *
    from {{ staged }}
    where {{ condition }}
    order by {{ id }}, version, recorded_at, record_id
),

moments as (
    select own.{{ id }}, own.version, greatest(own.recorded_at, other.recorded_at) as known_from
    from versions as own
    inner join versions as other on other.{{ id }} = own.{{ id }} and other.version >= own.version
    group by own.{{ id }}, own.version, greatest(own.recorded_at, other.recorded_at)
),

known as (
    select
        {{ id }},
        version,
        known_from,
        lead(known_from, 1, 'infinity'::timestamptz) over (
            partition by {{ id }}, version order by known_from
        ) as known_to
    from moments
),

spoken as (
    select known.{{ id }}, known.version, known.known_from, known.known_to, min(later.valid_from) - 1 as replaced_after
    from known
    left join versions as later
        on later.{{ id }} = known.{{ id }} and later.version > known.version and later.recorded_at <= known.known_from
    group by known.{{ id }}, known.version, known.known_from, known.known_to
),

spans as (
    select
        versions.*,
        spoken.known_from,
        spoken.known_to,
        least(coalesce(versions.valid_to, 'infinity'::date), spoken.replaced_after) as held_to
    from spoken
    inner join versions on versions.{{ id }} = spoken.{{ id }} and versions.version = spoken.version
    where least(coalesce(versions.valid_to, 'infinity'::date), spoken.replaced_after) >= versions.valid_from
)
{% endmacro %}

{#
  Between two changes nothing changes: a day, or a moment of knowing, is as good as the last change before it. Looking up
  by that, millions of shipments ask the same few thousand questions.
#}
{% macro days_of_change(relation) -%}
    array(
        select valid_from from {{ relation }}
        union
        select valid_to + 1 from {{ relation }} where valid_to < 'infinity'
        order by 1
    )
{%- endmacro %}

{% macro moments_of_change(relation) -%}
    array(
        select known_from from {{ relation }}
        union
        select known_to from {{ relation }} where known_to < 'infinity'
        order by 1
    )
{%- endmacro %}

{# Questions carry the number of the span between two changes; its beginning stands for all of it. #}
{% macro change(number, changes) -%}
    coalesce(({{ changes }})[{{ number }}], '-infinity')
{%- endmacro %}

{% macro last_change(value, changes) -%}
    {{ change('width_bucket(' ~ value ~ ', ' ~ changes ~ ')', changes) }}
{%- endmacro %}

{# To the currency's smallest unit, by the contract's rule. Half goes up, as in commerce. #}
{% macro rounded(value, digits, rule) -%}
    case {{ rule }}
        when 'up' then ceil(({{ value }}) * power(10::numeric, {{ digits }})) / power(10::numeric, {{ digits }})
        when 'down' then trunc({{ value }}, {{ digits }})
        else round({{ value }}, {{ digits }})
    end
{%- endmacro %}

{# A number as a person would write it. #}
{% macro plain(value) -%}
    trim_scale({{ value }})::text
{%- endmacro %}

{# A weight raised to a multiple of the contract's step. #}
{% macro weight_step(weight, step) -%}
    case when {{ step }} is null then {{ weight }} else ceil({{ weight }} / {{ step }}) * {{ step }} end
{%- endmacro %}

{# So many of what a rate is for, in words. #}
{% macro quantity_words(basis, quantity) -%}
    {{ plain(quantity) }} || case {{ basis }}
        when 'per_mile' then ' miles'
        when 'per_cwt' then ' cwt'
        when 'per_pallet' then ' pallets'
        when 'per_lb_dim' then ' lb'
        when 'per_hour' then ' hours'
        else ''
    end
{%- endmacro %}

{#
  Since when a row is known to a decision of `known_at`: at once, or later. A shipment that nothing known then could rate
  takes what came first afterwards; what is learned still later never rewrites it.
#}
{% macro known_since(known_from, known_at) -%}
    greatest({{ known_from }}, {{ known_at }})
{%- endmacro %}

{#
  Everything that an answer depends on, in one text: equal questions have equal answers, and a join by one column is one
  that the planner can judge.
#}
{% macro question(columns) -%}
    concat_ws('|', {% for column in columns %}{{ ', ' if not loop.first }}coalesce(({{ column }})::text, ''){% endfor %})
{%- endmacro %}

{#
  As in_scope, as an array: of few contracts, tables or indexes, so that a view over millions of rows is entered by index
  before anything is worked out for them.
#}
{% macro in_short_scope(column, relation, aggregate_type) -%}
    {%- if is_scoped() -%}
        {{ column }} = any(array({{ scope(relation, aggregate_type) }}))
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# The Monday of the week whose fuel price holds: the week's price begins to hold on a weekday, some weeks later. #}
{% macro week_of_fuel(ship_on, weekday, lag_weeks) -%}
    (
        {{ ship_on }} - (extract(isodow from {{ ship_on }})::int - {{ weekday }} + 7) % 7
        - (extract(isodow from {{ ship_on }} - (extract(isodow from {{ ship_on }})::int - {{ weekday }} + 7) % 7)::int - 1)
        - 7 * {{ lag_weeks }}
    )
{%- endmacro %}
