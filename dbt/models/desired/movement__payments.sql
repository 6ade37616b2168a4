with payments as (
    select * from {{ ref('payment_verdict') }}
    where is_posted
),

-- in the order of its invoices, so that what it is worth in the books is used up with the payment
applied as (
    select
        application.*,
        payments.unapplied_account,
        payments.amount as payment_amount,
        payments.functional_amount as payment_functional_amount,
        payments.gain_account,
        payments.loss_account,
        payments.rule_id as payment_rule_id,
        payments.rule_version as payment_rule_version,
        sum(application.applied_amount) over (
            partition by application.payment_id order by application.customer_invoice_id
        ) as applied_to
    from payments
    inner join {{ ref('payment_application') }} as application on application.payment_id = payments.payment_id
),

transfers as (
    -- all money goes through the account where it waits, so that the order of arrival changes nothing
    select
        payment_id,
        'payment|' || payment_id as effect_key,
        bank_account as to_debit,
        unapplied_account as to_credit,
        currency,
        amount as signed_amount,
        functional_currency,
        functional_amount as signed_functional_amount,
        null::text as customer_invoice_id,
        rule_id,
        rule_version,
        case when is_return then 'money that went back' else 'money that came' end as reason,
        correlation_id
    from payments
    union all
    select
        payment_id,
        'application|' || payment_id || '|' || customer_invoice_id,
        unapplied_account,
        receivable_account,
        currency,
        applied_amount,
        functional_currency,
        applied_functional_amount,
        customer_invoice_id,
        payment_rule_id,
        payment_rule_version,
        verdict || ': ' || reason,
        correlation_id
    from applied
    union all
    -- it came at another rate than the invoice has: a gain where it is worth more. It has no amount in its own currency
    select
        applied.payment_id,
        'exchange|' || applied.payment_id || '|' || applied.customer_invoice_id,
        applied.unapplied_account,
        case when moved.difference > 0 then applied.gain_account else applied.loss_account end,
        applied.currency,
        0.00,
        applied.functional_currency,
        moved.difference,
        applied.customer_invoice_id,
        applied.payment_rule_id,
        applied.payment_rule_version,
        'the rate moved between invoice and payment',
        applied.correlation_id
    from applied
    cross join lateral (
        select
            {{ functional_step(
                'applied.payment_amount', 'applied.payment_functional_amount',
                'applied.applied_to - applied.applied_amount', 'applied.applied_to'
            ) }} - applied.applied_functional_amount as difference
    ) as moved
    union all
    select
        payment_id,
        'write_off|' || payment_id || '|' || customer_invoice_id,
        write_off_account,
        receivable_account,
        currency,
        written_off_amount,
        functional_currency,
        written_off_functional_amount,
        customer_invoice_id,
        rule_id,
        rule_version,
        verdict || ': ' || reason,
        correlation_id
    from applied
    union all
    select
        payment_id,
        'kept|' || payment_id,
        unapplied_account,
        difference_account,
        currency,
        kept_amount,
        functional_currency,
        {{ functional_step('amount', 'functional_amount', 'amount - kept_amount', 'amount') }},
        null,
        rule_id,
        rule_version,
        verdict || ': ' || reason,
        correlation_id
    from payments
)

select
    effect_key,
    'payment|' || payment_id as cause,
    'customer_payment'::text as aggregate_type,
    payment_id as aggregate_id,
    case when is_forward then to_debit else to_credit end as debit_account,
    case when is_forward then to_credit else to_debit end as credit_account,
    currency,
    abs(signed_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(signed_functional_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    reason,
    correlation_id,
    jsonb_build_object(
        'payment_id', payment_id,
        'customer_invoice_id', customer_invoice_id
    ) as attributes
from (
    select *, signed_amount > 0 or (signed_amount = 0 and signed_functional_amount > 0) as is_forward
    from transfers
) as directed
where signed_amount <> 0 or signed_functional_amount <> 0
