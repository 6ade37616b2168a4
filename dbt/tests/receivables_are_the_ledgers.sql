-- What is owed on an invoice is what the receivable account says, as far as payments and credits are posted here.
with credited as (
    select customer_invoice_id, currency, sum(credit_amount) as credit_amount
    from {{ ref('customer_credit_line') }}
    group by customer_invoice_id, currency
),

paid as (
    select
        applied.customer_invoice_id,
        applied.currency,
        sum(applied.applied_amount + applied.written_off_amount) as paid_amount
    from {{ ref('payment_application') }} as applied
    inner join {{ ref('payment_verdict') }} as verdict on verdict.payment_id = applied.payment_id and verdict.is_posted
    group by applied.customer_invoice_id, applied.currency
)

select
    owed.customer_invoice,
    owed.posted_amount,
    owed.invoiced_amount,
    credited.credit_amount,
    paid.paid_amount
from {{ ref('fct_receivable') }} as owed
left join credited
    on substr(replace(credited.customer_invoice_id, '/tms:', '/'), 5) = owed.customer_invoice
    and credited.currency = owed.currency
left join paid
    on substr(replace(paid.customer_invoice_id, '/tms:', '/'), 5) = owed.customer_invoice
    and paid.currency = owed.currency
where
    owed.posted_amount
    <> owed.invoiced_amount - coalesce(credited.credit_amount, 0) - coalesce(paid.paid_amount, 0)
