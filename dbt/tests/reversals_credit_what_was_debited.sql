-- What an invoice takes back leaves the accounts that the accrual went to.
select line.carrier_invoice_id, line.shipment_id, line.charge_code
from {{ ref('invoice_line_verdict') }} as line
inner join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = line.shipment_id and accrual.charge_code = line.charge_code
where
    line.is_posted
    and (line.expense_account, line.accrued_account) is distinct from (accrual.expense_account, accrual.accrued_account)
