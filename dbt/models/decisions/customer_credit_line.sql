{{ config(
    materialized='incremental',
    unique_key=['dispute_id', 'billed_as'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_claim_payments', 'aggregate_type': 'customer_dispute', 'column': 'dispute_id'
        }
    },
) }}

with credits as (
    select *
    from {{ ref('customer_credit') }}
    where is_posted and {{ in_scope('dispute_id', ref('scope_claim_payments'), 'customer_dispute') }}
),

needed as (
    select distinct customer_invoice_id from credits
),

-- what was billed, line by line, as the log has it
billed as (
    select
        movement.aggregate_id as customer_invoice_id,
        movement.currency,
        split_part(movement.effect_key, '|', 3) || ' ' || split_part(movement.effect_key, '|', 4) as billed_as,
        split_part(split_part(movement.effect_key, '|', 4), ':', 1) as kind,
        nullif(split_part(split_part(movement.effect_key, '|', 4), ':', 2), '')::int as order_line,
        case when movement.reverses then movement.debit_account else movement.credit_account end as account,
        max(case when movement.reverses then movement.credit_account else movement.debit_account end)
        as receivable_account,
        max(movement.attributes ->> 'order_number') as order_number,
        max(movement.attributes ->> 'shipment_id') as shipment_id,
        max((movement.attributes ->> 'invoice_on')::date) as invoice_on,
        (sum(case when movement.reverses then -movement.amount else movement.amount end) * 100)::bigint as cents
    from needed
    inner join {{ source('effects', 'movement') }} as movement
        on movement.aggregate_id = needed.customer_invoice_id
        and movement.relation = 'movement__customer_invoices'
    group by
        movement.aggregate_id, movement.currency, movement.effect_key,
        case when movement.reverses then movement.debit_account else movement.credit_account end
),

-- the lines that the dispute is about; where it names none, or one that was not billed, all
chosen as (
    select
        credits.dispute_id,
        billed.*,
        (credits.credit_amount * 100)::bigint as credit_cents,
        coalesce(
            (billed.kind = credits.line_kind)
            and (credits.order_line is null or billed.order_line = credits.order_line),
            false
        ) as is_named
    from credits
    inner join billed
        on billed.customer_invoice_id = credits.customer_invoice_id and billed.currency = credits.currency
    where billed.cents > 0
),

meant as (
    select *
    from (
        select
            chosen.*,
            bool_or(chosen.is_named) over (partition by chosen.dispute_id) as any_named
        from chosen
    ) as every_one
    where is_named or not any_named
),

-- in proportion to what was billed, rounded down; the cents left over go to the largest line, then the lowest name
floored as (
    select
        meant.*,
        floor(
            meant.credit_cents * meant.cents::numeric / sum(meant.cents) over (partition by meant.dispute_id)
        )::bigint as share
    from meant
),

shared as (
    select
        floored.*,
        floored.share + case
            when row_number() over (
                partition by floored.dispute_id order by floored.share desc, floored.billed_as
            ) = 1
                then floored.credit_cents - sum(floored.share) over (partition by floored.dispute_id)
            else 0
        end as credited_cents
    from floored
)

select
    shared.dispute_id,
    shared.billed_as,
    shared.customer_invoice_id,
    credits.customer_id,
    shared.order_number,
    shared.shipment_id,
    shared.invoice_on as billed_on,
    shared.kind,
    shared.order_line,
    shared.currency,
    (shared.credited_cents / 100.0)::numeric(18, 2) as credit_amount,
    coalesce(credits.account, shared.account) as account,
    shared.receivable_account,
    coalesce(credits.resolved_on, credits.opened_on) as credited_on,
    credits.reason_code,
    credits.reason,
    credits.rule_id,
    credits.rule_version,
    credits.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from shared
inner join credits on credits.dispute_id = shared.dispute_id
where shared.credited_cents > 0
