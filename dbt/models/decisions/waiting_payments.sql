{{ config(materialized='view', tags=['static']) }}

-- What waits for something outside of landing and models: the ERP's number of an invoice, word of who
-- pays, or an exchange rate.
select distinct 'customer_payment'::text as aggregate_type, link.payment_id as aggregate_id
from {{ ref('payment_link') }} as link
inner join {{ source('effects', 'outcome') }} as outcome
    on {{ normalized('outcome.reference') }} = {{ normalized('link.number') }}
    and outcome.outcome = 'accepted' and outcome.reference <> ''
inner join {{ source('effects', 'outbox') }} as document
    on document.outbox_id = outcome.outbox_id and document.aggregate_type = 'customer_invoice'
where link.candidate_count = 0
union
select 'customer_payment', payment.payment_id
from {{ ref('payment_match') }} as match
inner join {{ ref('customer_payment') }} as payment
    on payment.payment_id = match.payment_id and payment.customer_id is null
inner join {{ source('rules', 'payer') }} as payer
    on (payer.payer_account = payment.payer_account or lower(payer.payer_name) = lower(payment.payer_name))
    and payer.valid_from <= payment.paid_on and (payer.valid_to is null or payer.valid_to >= payment.paid_on)
where match.outcome in ('no_reference', 'no_candidate')
union
select 'customer_dispute', dispute.dispute_id
from {{ ref('customer_dispute') }} as dispute
inner join {{ source('effects', 'outcome') }} as outcome
    on {{ normalized('outcome.reference') }} = {{ normalized('dispute.invoice_number') }}
    and outcome.outcome = 'accepted' and outcome.reference <> ''
inner join {{ source('effects', 'outbox') }} as document
    on document.outbox_id = outcome.outbox_id and document.aggregate_type = 'customer_invoice'
where dispute.customer_invoice_id is null and dispute.candidates = '[]'::jsonb
union
select 'customer_payment', payment.payment_id
from {{ ref('payment_verdict') }} as payment
where
    payment.verdict = 'no_exchange_rate'
    and exists (
        select 1
        from {{ ref('exchange_rate') }} as published
        where
            published.from_currency = payment.currency and published.to_currency = payment.functional_currency
            and published.source = payment.rate_source
            and published.rate_on between payment.paid_on - payment.rate_max_age_days and payment.paid_on
    )
