with sides as (
    select debit_account as account, currency, amount as debit, 0 as credit
    from {{ source('effects', 'movement') }}
    where target = 'erp'
    union all
    select credit_account, currency, 0, amount
    from {{ source('effects', 'movement') }}
    where target = 'erp'
)

select
    account,
    currency,
    sum(debit)::numeric(18, 2) as debit,
    sum(credit)::numeric(18, 2) as credit
from sides
group by account, currency
