{{ config(
    materialized='incremental',
    unique_key=['payment_id', 'source', 'ordinal'],
    tags=['payments'],
    indexes=[{'columns': ['number']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.touched_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

with {{ told_payments() }},

-- every pattern, as it stood when the payment came; where that found nothing, also as it was said later
patterns as (
    select
        rule.pattern,
        rule.valid_from,
        rule.recorded_at,
        lead(rule.recorded_at) over versions as replaced_at,
        rule.valid_to
    from {{ source('rules', 'invoice_pattern') }} as rule
    window versions as (partition by rule.rule_id order by rule.rule_version)
),

spotted as (
    select
        told.payment_id,
        left(upper(hit.found[1]), 200) as number,
        patterns.recorded_at <= told.admitted_at
        and (patterns.replaced_at is null or patterns.replaced_at > told.admitted_at) as was_known
    from told
    inner join patterns
        on patterns.valid_from <= told.paid_on
        and (patterns.valid_to is null or patterns.valid_to >= told.paid_on)
    cross join lateral regexp_matches(told.remittance_text, '(' || patterns.pattern || ')', 'gi') as hit (found)
),

from_text as (
    select distinct payment_id, number
    from (
        select
            spotted.*,
            bool_or(spotted.was_known) over (partition by spotted.payment_id) as any_known
        from spotted
    ) as every_one
    where was_known or not any_known
)

select
    told.payment_id,
    'structured'::text as source,
    document.ordinal::int as ordinal,
    document.value ->> 'number' as number,
    document.value ->> 'kind' as kind,
    {{ document_amount('document.value') }} as amount,
    '{{ run_id() }}'::text as changed_in_run
from told
cross join lateral jsonb_array_elements(told.documents) with ordinality as document (value, ordinal)
where {{ normalized("document.value ->> 'number'") }} <> ''
union all
select
    payment_id,
    'text',
    row_number() over (partition by payment_id order by number)::int,
    number,
    null,
    null,
    '{{ run_id() }}'::text as changed_in_run
from from_text
