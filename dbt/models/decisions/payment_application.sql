{{ config(
    materialized='incremental',
    unique_key=['payment_id', 'customer_invoice_id'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_plan_payments', 'aggregate_type': 'customer_invoice',
            'column': 'customer_invoice_id'
        }
    },
) }}

-- The claims on an invoice are added up in the order of their days and clamped to what is owed; a payment applies its own
-- step of that sum. So the order in which payments become known changes nothing, and what comes back reopens.
with claims as (
    select
        claim.payment_id,
        claim.customer_invoice_id,
        claim.matched_by,
        claim.claim_amount,
        payment.currency,
        payment.paid_on,
        payment.is_return,
        payment.reason_given,
        payment.admitted_at,
        payment.correlation_id
    from {{ ref('payment_claim') }} as claim
    inner join {{ ref('customer_payment') }} as payment on payment.payment_id = claim.payment_id
    where {{ in_scope('claim.customer_invoice_id', ref('scope_plan_payments'), 'customer_invoice') }}
),

needed as (
    select distinct customer_invoice_id from claims
),

invoices as (
    select
        invoice.*,
        (invoice.invoiced_amount - coalesce(credits.credit_amount, 0))::numeric(18, 2) as net_amount,
        (invoice.invoiced_functional_amount - coalesce(credits.credit_functional_amount, 0))::numeric(18, 2)
        as net_functional_amount,
        coalesce(credits.is_disputed, false) as is_disputed,
        terms.payment_terms
    from {{ customer_invoices('needed') }} as invoice
    left join lateral (
        select
            sum(credit.credit_amount) as credit_amount,
            sum(credit.credit_functional_amount) as credit_functional_amount,
            bool_or(credit.verdict = 'opened') as is_disputed
        from {{ ref('customer_credit') }} as credit
        where credit.customer_invoice_id = invoice.customer_invoice_id and credit.currency = invoice.currency
    ) as credits on true
    -- the terms that the customer had on the day of the invoice; where none are that old, the oldest
    left join lateral (
        select customer.payment_terms
        from {{ ref('customer') }} as customer
        where customer.customer_id = invoice.customer_id
        order by
            customer.valid_from < invoice.invoice_on + 1 desc,
            case when customer.valid_from < invoice.invoice_on + 1 then customer.version end desc nulls last,
            customer.version
        limit 1
    ) as terms on true
),

cumulated as (
    select
        claims.*,
        invoices.customer_id,
        invoices.receivable_account,
        invoices.net_amount,
        invoices.functional_currency,
        invoices.net_functional_amount,
        invoices.is_disputed,
        invoices.invoice_on,
        invoices.payment_terms,
        sum(claims.claim_amount) over in_order as claimed_to,
        row_number() over in_order as turn,
        count(*) over (partition by claims.customer_invoice_id, claims.currency) as turns,
        max(claims.paid_on) filter (where claims.claim_amount > 0) over (
            partition by claims.customer_invoice_id, claims.currency
        ) as last_paid_on
    from claims
    inner join invoices
        on invoices.customer_invoice_id = claims.customer_invoice_id and invoices.currency = claims.currency
    window in_order as (
        partition by claims.customer_invoice_id, claims.currency
        order by claims.paid_on, claims.is_return, claims.payment_id
    )
),

levelled as (
    select
        *,
        least(greatest(claimed_to, 0), greatest(net_amount, 0))::numeric(18, 2) as paid_to
    from cumulated
),

stepped as (
    select
        *,
        (
            paid_to - coalesce(lag(paid_to) over (
                partition by customer_invoice_id, currency order by paid_on, is_return, payment_id
            ), 0)
        )::numeric(18, 2) as applied_amount,
        -- what is still owed after the last payment
        case when turn = turns then greatest(net_amount, 0) - paid_to else 0 end as open_after
    from levelled
),

-- of a rest that is left after the last payment: a discount that was agreed, or too little to ask for
judged as (
    select
        stepped.*,
        terms.rule_id as terms_rule_id,
        terms.rule_version as terms_rule_version,
        terms.discount_account,
        terms.discount_percent,
        terms.discount_days,
        tolerance.rule_id as tolerance_rule_id,
        tolerance.rule_version as tolerance_rule_version,
        tolerance.account as tolerance_account,
        tolerance.reason as tolerance_reason,
        tolerance.limit_amount,
        stepped.open_after > 0 and stepped.paid_to > 0 and not stepped.is_disputed and (
            stepped.last_paid_on <= stepped.invoice_on + terms.discount_days
            and stepped.open_after <= round(stepped.net_amount * terms.discount_percent / 100, 2)
        ) is true as is_discount,
        stepped.open_after > 0 and stepped.paid_to > 0 and not stepped.is_disputed and (
            stepped.open_after <= tolerance.limit_amount
        ) is true as is_small
    from stepped
    left join lateral {{ rule_in_force(
        'payment_terms', ['newest.discount_percent', 'newest.discount_days', 'newest.discount_account'],
        "newest.terms = coalesce(stepped.payment_terms, '*')", "newest.terms", 'stepped.invoice_on',
        'stepped.admitted_at'
    ) }} as terms on stepped.open_after > 0
    left join lateral (
        select
            rule.*,
            least(rule.under_amount, round(stepped.net_amount * rule.under_percent / 100, 2)) as limit_amount
        from {{ rule_in_force(
            'payment_tolerance', [
                'newest.under_amount', 'newest.under_percent', 'newest.account', 'newest.reason'
            ],
            "newest.customer_id in (stepped.customer_id, '*')", "newest.customer_id <> '*' desc",
            'stepped.paid_on', 'stepped.admitted_at'
        ) }} as rule
    ) as tolerance on stepped.open_after > 0
)

select
    payment_id,
    customer_invoice_id,
    customer_id,
    currency,
    matched_by,
    paid_on,
    net_amount as owed_amount,
    claim_amount,
    applied_amount,
    (claim_amount - applied_amount)::numeric(18, 2) as excess_amount,
    case when is_discount or is_small then open_after else 0 end::numeric(18, 2) as written_off_amount,
    case when not (is_discount or is_small) then open_after else 0 end::numeric(18, 2) as open_amount,
    functional_currency,
    -- the receivable goes as it came: at the rate of the invoice
    {{ functional_step('net_amount', 'net_functional_amount', 'paid_to - applied_amount', 'paid_to') }}
    ::numeric(18, 2) as applied_functional_amount,
    case
        when is_discount or is_small
            then {{ functional_step('net_amount', 'net_functional_amount', 'paid_to', 'paid_to + open_after') }}
        else 0
    end::numeric(18, 2) as written_off_functional_amount,
    case
        when is_return then 'returned'
        when claim_amount <> applied_amount then 'overpaid'
        when is_discount then 'discount_taken'
        when is_small then 'short_written_off'
        when turn = turns and open_after > 0 then 'short'
        when turn = turns then 'paid'
        else 'part'
    end as verdict,
    case
        when is_return then 'the payment came back' || coalesce(': ' || reason_given, '')
        when claim_amount <> applied_amount
            then (claim_amount - applied_amount) || ' more than was owed on it by then'
        when is_discount
            then open_after || ' taken off, ' || discount_percent || ' % agreed for payment within ' || discount_days
                || ' days'
        when is_small then open_after || ' less, ' || limit_amount || ' allowed as ' || tolerance_reason
        when turn = turns and open_after > 0
            then open_after || ' still owed'
                || case when is_disputed then ' and disputed' else '' end
                || coalesce(', the payer says: ' || reason_given, '')
        when turn = turns then 'paid in full'
        else 'a part; more came later'
    end as reason,
    case when is_discount then discount_account when is_small then tolerance_account end as write_off_account,
    receivable_account,
    is_return,
    coalesce(
        case when is_discount then terms_rule_id when is_small then tolerance_rule_id end,
        'payments.reference_cascade'
    ) as rule_id,
    coalesce(
        case when is_discount then terms_rule_version when is_small then tolerance_rule_version end::text, '1'
    ) as rule_version,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
