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

-- what was billed, line by line, as the log has it; where tax was charged, by category and rate
billed as (
    select
        movement.aggregate_id as customer_invoice_id,
        movement.currency,
        split_part(movement.effect_key, '|', 3) || ' ' || split_part(movement.effect_key, '|', 4)
        || coalesce(' ' || taxed.category || ':' || taxed.rate_percent, '') as billed_as,
        part.kind,
        case part.kind when 'goods' then split_part(split_part(movement.effect_key, '|', 4), ':', 2)::int end
        as order_line,
        taxed.category as tax_category,
        taxed.rate_percent as tax_rate_percent,
        case when movement.reverses then movement.debit_account else movement.credit_account end as account,
        max(case when movement.reverses then movement.credit_account else movement.debit_account end)
        as receivable_account,
        max(movement.attributes ->> 'order_number') as order_number,
        max(movement.attributes ->> 'shipment_id') as shipment_id,
        max((movement.attributes ->> 'invoice_on')::date) as invoice_on,
        (array_agg(movement.attributes order by movement.movement_id desc))[1] as said,
        (sum(case when movement.reverses then -movement.amount else movement.amount end) * 100)::bigint as cents
    from needed
    inner join {{ source('effects', 'movement') }} as movement
        on movement.aggregate_id = needed.customer_invoice_id
        and movement.relation = 'movement__customer_invoices'
    cross join lateral (
        select split_part(split_part(movement.effect_key, '|', 4), ':', 1) as kind
    ) as part
    cross join lateral (
        select
            movement.attributes ->> 'tax_category' as category,
            (movement.attributes ->> 'tax_rate_percent')::numeric as rate_percent
    ) as taxed
    group by
        movement.aggregate_id, movement.currency, movement.effect_key, part.kind, taxed.category, taxed.rate_percent,
        case when movement.reverses then movement.debit_account else movement.credit_account end
),

-- the lines that the dispute is about; where it names none, or one that was not billed, all
chosen as (
    select
        credits.dispute_id,
        billed.*,
        (credits.credit_amount * 100)::bigint as credit_cents,
        credits.functional_currency,
        credits.credit_functional_amount,
        coalesce(
            (billed.kind = credits.line_kind)
            and (credits.order_line is null or billed.order_line = credits.order_line),
            false
        ) as is_named,
        -- a line under several taxes has the sum of their rates, which none of them has
        bool_or(billed.kind = 'tax') over (
            partition by credits.dispute_id, billed.tax_category, billed.tax_rate_percent
        ) as has_tax_of_its_rate
    from credits
    inner join billed
        on billed.customer_invoice_id = credits.customer_invoice_id and billed.currency = credits.currency
    where billed.cents > 0
),

-- which lines each tax is on
taxed as (
    select
        tax.dispute_id,
        tax.billed_as as tax_billed_as,
        line.billed_as as line_billed_as,
        line.cents,
        line.is_named
    from chosen as tax
    inner join chosen as line
        on line.dispute_id = tax.dispute_id
        and line.kind <> 'tax'
        and line.tax_category = tax.tax_category
        and (line.tax_rate_percent = tax.tax_rate_percent or not line.has_tax_of_its_rate)
    where tax.kind = 'tax'
),

taxed_share as (
    select
        dispute_id,
        tax_billed_as,
        coalesce(sum(cents) filter (where is_named), 0) / sum(cents) as named_share
    from taxed
    group by dispute_id, tax_billed_as
),

-- a line that is credited takes its tax with it
meant as (
    select
        every_one.*,
        case
            when every_one.kind = 'tax' and every_one.any_named
                then every_one.cents * coalesce(taxed_share.named_share, 0)
            else every_one.cents
        end as weight
    from (
        select
            chosen.*,
            bool_or(chosen.is_named) over (partition by chosen.dispute_id) as any_named
        from chosen
    ) as every_one
    left join taxed_share
        on taxed_share.dispute_id = every_one.dispute_id and taxed_share.tax_billed_as = every_one.billed_as
    where every_one.is_named or not every_one.any_named or coalesce(taxed_share.named_share, 0) > 0
),

-- in proportion to what was billed, rounded down; the cents left over go to the largest line, then the lowest name
floored as (
    select
        meant.*,
        floor(
            meant.credit_cents * meant.weight / sum(meant.weight) over (partition by meant.dispute_id)
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
),

running as (
    select
        shared.*,
        sum(shared.credited_cents) over (partition by shared.dispute_id order by shared.billed_as) as credited_to
    from shared
),

-- what each tax is credited on
bases as (
    select
        taxed.dispute_id,
        taxed.tax_billed_as,
        sum(shared.credited_cents) as base_cents
    from taxed
    inner join shared on shared.dispute_id = taxed.dispute_id and shared.billed_as = taxed.line_billed_as
    group by taxed.dispute_id, taxed.tax_billed_as
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
    shared.functional_currency,
    -- steps of a running sum, so that the lines sum to the credit
    {{ functional_step(
        'shared.credit_cents', 'shared.credit_functional_amount', 'shared.credited_to - shared.credited_cents',
        'shared.credited_to'
    ) }}::numeric(18, 2) as credit_functional_amount,
    -- tax that is not owed any more is tax, whatever the reason
    case shared.kind when 'tax' then shared.account else coalesce(credits.account, shared.account) end as account,
    shared.receivable_account,
    coalesce(credits.resolved_on, credits.opened_on) as credited_on,
    credits.reason_code,
    credits.reason,
    credits.rule_id,
    credits.rule_version,
    credits.correlation_id,
    case
        when shared.tax_category is null then '{}'::jsonb
        else jsonb_strip_nulls(jsonb_build_object(
            'tax_category', shared.tax_category,
            'tax_rate_percent', shared.said ->> 'tax_rate_percent',
            'tax_jurisdiction', shared.said ->> 'tax_jurisdiction',
            'tax_name', shared.said ->> 'tax_name',
            'tax_reason_code', shared.said ->> 'tax_reason_code',
            'tax_reason', shared.said ->> 'tax_reason',
            'seller_id', shared.said ->> 'seller_id',
            'taxable_base', case shared.kind
                when 'tax' then (coalesce(bases.base_cents, 0) / 100.0)::numeric(18, 2)::text
            end
        ))
    end as tax,
    '{{ run_id() }}'::text as changed_in_run
from running as shared
inner join credits on credits.dispute_id = shared.dispute_id
left join bases on bases.dispute_id = shared.dispute_id and bases.tax_billed_as = shared.billed_as
where shared.credited_cents > 0
