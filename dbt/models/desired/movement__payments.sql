with payments as (
    select * from {{ ref('payment_verdict') }}
    where is_posted
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
        null::text as customer_invoice_id,
        rule_id,
        rule_version,
        case when is_return then 'money that went back' else 'money that came' end as reason,
        correlation_id
    from payments
    union all
    select
        payments.payment_id,
        'application|' || payments.payment_id || '|' || applied.customer_invoice_id,
        payments.unapplied_account,
        applied.receivable_account,
        applied.currency,
        applied.applied_amount,
        applied.customer_invoice_id,
        payments.rule_id,
        payments.rule_version,
        applied.verdict || ': ' || applied.reason,
        applied.correlation_id
    from payments
    inner join {{ ref('payment_application') }} as applied on applied.payment_id = payments.payment_id
    union all
    select
        payments.payment_id,
        'write_off|' || payments.payment_id || '|' || applied.customer_invoice_id,
        applied.write_off_account,
        applied.receivable_account,
        applied.currency,
        applied.written_off_amount,
        applied.customer_invoice_id,
        applied.rule_id,
        applied.rule_version,
        applied.verdict || ': ' || applied.reason,
        applied.correlation_id
    from payments
    inner join {{ ref('payment_application') }} as applied on applied.payment_id = payments.payment_id
    union all
    select
        payment_id,
        'kept|' || payment_id,
        unapplied_account,
        difference_account,
        currency,
        kept_amount,
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
    case when signed_amount > 0 then to_debit else to_credit end as debit_account,
    case when signed_amount > 0 then to_credit else to_debit end as credit_account,
    currency,
    abs(signed_amount)::numeric(18, 2) as amount,
    currency as functional_currency,
    abs(signed_amount)::numeric(18, 2) as functional_amount,
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
from transfers
where signed_amount <> 0
