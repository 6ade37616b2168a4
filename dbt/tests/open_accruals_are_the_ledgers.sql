-- The sub-ledger by shipment and charge says the same as the account.
with open_by_account as (
    select account, currency, sum(open_amount) as open_amount
    from {{ ref('fct_accrual_open') }}
    group by account, currency
)

select ledger.account, ledger.currency, ledger.credit - ledger.debit as owed, open_by_account.open_amount
from {{ ref('fct_ledger_balance') }} as ledger
full outer join open_by_account
    on open_by_account.account = ledger.account and open_by_account.currency = ledger.currency
where
    coalesce(ledger.account, open_by_account.account)
    in (select policy.accrued_account from {{ source('rules', 'accrual_policy') }} as policy)
    and ledger.credit - ledger.debit is distinct from open_by_account.open_amount
