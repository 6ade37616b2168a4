{{ config(materialized='view', tags=['static']) }}

-- What we paid to carriers: debits of our accounts and payments of suppliers as the ERP tells them. Nothing is posted
-- from it: payables are cleared where they are paid.
with erp as (
    select distinct on (payment_id) *
    from {{ ref('stg_erp__payments') }}
    where party_kind = 'supplier'
    order by payment_id, version desc, changed_at desc, record_id desc
),

bank as (
    select distinct on (payment_id) *
    from {{ ref('stg_bank__entries') }}
    -- money that goes, and money that went and comes back
    where status = 'BOOK' and (direction = 'debit') = (not is_reversal and return_reason is null)
    order by payment_id, statement_on desc nulls last, record_id desc
)

select
    payment_id,
    'erp'::text as channel,
    party_id as scac,
    bank_reference as end_to_end_id,
    null::text as payee_name,
    case when is_reversed then 0 else amount end::numeric(18, 2) as amount,
    currency,
    paid_on,
    documents,
    null::text as remittance_text,
    short_reason as reason_given,
    correlation_id
from erp
union all
select
    payment_id,
    'bank',
    null,
    end_to_end_id,
    counterparty_name,
    -signed_amount,
    currency,
    value_on,
    documents,
    remittance_text,
    return_reason,
    correlation_id
from bank
