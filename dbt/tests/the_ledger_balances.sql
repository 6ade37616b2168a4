select currency, sum(debit) as debit, sum(credit) as credit
from {{ ref('fct_ledger_balance') }}
group by currency
having sum(debit) <> sum(credit)
