{{ config(materialized='table', tags=['close']) }}

with sides as (
    select journal_id, debit_account as account, amount as debit, 0 as credit
    from {{ source('effects', 'movement') }}
    where target = 'erp' and amount > 0
    union all
    select journal_id, credit_account, 0, amount
    from {{ source('effects', 'movement') }}
    where target = 'erp' and amount > 0
)

select
    journal_id::text as document_id,
    account,
    sum(debit)::numeric(18, 2) as debit,
    sum(credit)::numeric(18, 2) as credit
from sides
group by journal_id, account
