{{ config(
    materialized='incremental',
    unique_key=['payment_id'],
    tags=['payments'],
    indexes=[{'columns': ['looks_for_customer']}, {'columns': ['outcome']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_claim_payments', 'aggregate_type': 'customer_payment', 'column': 'payment_id'
        }
    },
) }}

-- A cascade: what the payer says in fields or in an advice, invoice numbers in its text, what the ERP says of the same payment, and the
-- exact amount of one invoice of a known customer. The first that finds an invoice decides.
with payments as (
    select
        payment.payment_id,
        payment.customer_id,
        payment.customer_known_by,
        payment.currency,
        payment.amount,
        payment.paid_on,
        standing.standing,
        standing.other_payment_id
    from {{ ref('customer_payment') }} as payment
    inner join {{ ref('payment_standing') }} as standing on standing.payment_id = payment.payment_id
    where {{ in_scope('payment.payment_id', ref('scope_claim_payments'), 'customer_payment') }}
),

links as (
    select
        link.*,
        case link.source when 'structured' then 1 when 'advice' then 2 when 'text' then 3 else 4 end as turn
    from {{ ref('payment_link') }} as link
    where {{ in_scope('link.payment_id', ref('scope_claim_payments'), 'customer_payment') }}
),

-- the first source of which any number means an invoice
sources as (
    select
        payment_id,
        min(turn) filter (where candidate_count > 0) as turn,
        jsonb_agg(
            jsonb_build_object(
                'key', source, 'value', number, 'found_by', found_by, 'candidates', candidates
            ) order by turn, ordinal
        ) as keys_tried
    from links
    group by payment_id
),

told as (
    select links.*
    from links
    inner join sources on sources.payment_id = links.payment_id and sources.turn = links.turn
    -- a credit note that we don't know has no invoice to be taken from
    where links.amount is not null or links.kind is distinct from 'CREN'
),

needed as (
    select distinct customer_invoice_id from told
    where customer_invoice_id is not null
),

known as (
    select
        invoice.customer_invoice_id,
        invoice.currency,
        invoice.invoice_on,
        greatest(invoice.invoiced_amount - coalesce(credits.credit_amount, 0), 0) as net_amount
    from {{ customer_invoices('needed') }} as invoice
    left join lateral (
        select sum(credit.credit_amount) as credit_amount
        from {{ ref('customer_credit') }} as credit
        where
            credit.customer_invoice_id = invoice.customer_invoice_id and credit.currency = invoice.currency
    ) as credits on true
),

referred as (
    select
        payments.payment_id,
        payments.amount,
        bool_and(told.amount is not null) as says_amounts,
        bool_and(told.candidate_count = 1) as is_resolved,
        bool_or(told.candidate_count > 1) as is_ambiguous,
        bool_and(known.customer_invoice_id is not null) filter (where told.customer_invoice_id is not null)
        as same_currency,
        sum(told.amount) as told_amount,
        count(distinct told.customer_invoice_id) as invoice_count
    from payments
    inner join told on told.payment_id = payments.payment_id
    left join known
        on known.customer_invoice_id = told.customer_invoice_id and known.currency = payments.currency
    where payments.standing = 'counts'
    group by payments.payment_id, payments.amount
),

judged as (
    select
        *,
        case
            when not same_currency then 'currency_differs'
            when invoice_count = 0 then case when is_ambiguous then 'several_candidates' else 'reference_unknown' end
            when says_amounts and told_amount > amount then 'remittance_does_not_sum'
            when says_amounts then 'matched'
            when not is_resolved then case when is_ambiguous then 'several_candidates' else 'reference_unknown' end
            else 'matched'
        end as outcome
    from referred
),

invoices_told as (
    select
        told.payment_id,
        told.customer_invoice_id,
        min(told.source) as source,
        sum(told.amount) as amount
    from told
    where told.customer_invoice_id is not null
    group by told.payment_id, told.customer_invoice_id
),

-- amounts as the payer says; else the whole payment, oldest invoice first, each as far as it was billed
claimed_by_reference as (
    select
        judged.payment_id,
        invoices_told.customer_invoice_id,
        invoices_told.source as matched_by,
        case
            when judged.says_amounts then invoices_told.amount
            when judged.invoice_count = 1 then judged.amount
            else greatest(
                least(
                    judged.amount - coalesce(
                        sum(known.net_amount) over (
                            in_order rows between unbounded preceding and 1 preceding
                        ), 0
                    ),
                    case
                        when row_number() over (
                            partition by judged.payment_id
                            order by known.invoice_on desc, invoices_told.customer_invoice_id desc
                        ) = 1 then judged.amount
                        else known.net_amount
                    end
                ), 0
            )
        end as claim_amount
    from judged
    inner join invoices_told on invoices_told.payment_id = judged.payment_id
    inner join payments on payments.payment_id = judged.payment_id
    inner join known
        on known.customer_invoice_id = invoices_told.customer_invoice_id and known.currency = payments.currency
    where judged.outcome = 'matched'
    window in_order as (partition by judged.payment_id order by known.invoice_on, invoices_told.customer_invoice_id)
),

-- nothing that it says means an invoice: an invoice of its customer, billed by then, of exactly this amount, that no
-- other payment names
seekers as (
    select payments.*
    from payments
    left join judged on judged.payment_id = payments.payment_id
    where payments.standing = 'counts' and payments.amount > 0 and judged.payment_id is null
),

of_customers as (
    select distinct customers.customer_id, delivery.customer_invoice_id
    from (
        select distinct customer_id from seekers
        where customer_id is not null
    ) as customers
    inner join {{ ref('sales_order') }} as orders on orders.customer_id = customers.customer_id
    inner join {{ ref('delivery') }} as delivery on delivery.order_id = orders.order_id
    where delivery.customer_invoice_id is not null
),

sought as (
    select distinct customer_invoice_id from of_customers
),

fitting as (
    select
        seekers.payment_id,
        invoice.customer_invoice_id
    from seekers
    inner join {{ customer_invoices('sought') }} as invoice
        on invoice.customer_id = seekers.customer_id and invoice.currency = seekers.currency
        and invoice.invoice_on <= seekers.paid_on
    left join lateral (
        select sum(credit.credit_amount) as credit_amount
        from {{ ref('customer_credit') }} as credit
        where
            credit.customer_invoice_id = invoice.customer_invoice_id and credit.currency = invoice.currency
    ) as credits on true
    where
        invoice.invoiced_amount - coalesce(credits.credit_amount, 0) = seekers.amount
        and not exists (
            select 1
            from {{ ref('payment_link') }} as link
            where link.customer_invoice_id = invoice.customer_invoice_id
        )
),

fits as (
    select
        payment_id,
        count(*)::int as candidate_count,
        min(customer_invoice_id) as customer_invoice_id,
        jsonb_agg(customer_invoice_id order by customer_invoice_id) as candidates
    from fitting
    group by payment_id
),

claimed as (
    select payment_id, customer_invoice_id, matched_by, claim_amount from claimed_by_reference
    where claim_amount <> 0
    union all
    select fits.payment_id, fits.customer_invoice_id, 'amount', seekers.amount
    from fits
    inner join seekers on seekers.payment_id = fits.payment_id
    where fits.candidate_count = 1
),

all_claims as (
    select payment_id, customer_invoice_id, matched_by, claim_amount from claimed
    union all
    -- what comes back is taken from where it went
    select payments.payment_id, claimed.customer_invoice_id, 'return', -claimed.claim_amount
    from payments
    inner join claimed on claimed.payment_id = payments.other_payment_id
    where payments.standing = 'returns'
),

claims as (
    select
        payment_id,
        min(matched_by) as matched_by,
        sum(claim_amount)::numeric(18, 2) as claimed_amount,
        jsonb_agg(
            jsonb_build_object('customer_invoice_id', customer_invoice_id, 'amount', claim_amount::numeric(18, 2))
            order by customer_invoice_id
        ) as claims
    from all_claims
    group by payment_id
)

select
    payments.payment_id,
    case
        when payments.standing in ('returns', 'return_of_nothing') then payments.standing
        when payments.standing <> 'counts' then 'does_not_count'
        when judged.payment_id is not null then judged.outcome
        when payments.customer_id is null and sources.payment_id is null then 'no_reference'
        when fits.candidate_count = 1 then 'matched'
        when fits.candidate_count > 1 then 'several_candidates'
        else 'no_candidate'
    end as outcome,
    claims.matched_by,
    coalesce(claims.claimed_amount, 0)::numeric(18, 2) as claimed_amount,
    coalesce(claims.claims, '[]'::jsonb) as claims,
    (
        coalesce(sources.keys_tried, '[]'::jsonb)
        || case
            when seekers.customer_id is not null
                then jsonb_build_array(
                    jsonb_build_object(
                        'key', 'amount', 'value', seekers.amount::text, 'found_by', seekers.customer_known_by,
                        'candidates', coalesce(fits.candidates, '[]'::jsonb)
                    )
                )
            else '[]'::jsonb
        end
    ) as keys_tried,
    case when judged.payment_id is null and payments.standing = 'counts' then payments.customer_id end
    as looks_for_customer,
    '{{ run_id() }}'::text as changed_in_run
from payments
left join sources on sources.payment_id = payments.payment_id
left join judged on judged.payment_id = payments.payment_id
left join seekers on seekers.payment_id = payments.payment_id
left join fits on fits.payment_id = payments.payment_id
left join claims on claims.payment_id = payments.payment_id
