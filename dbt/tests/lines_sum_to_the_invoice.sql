-- Every line of an admitted invoice is kept: what is judged is what was billed.
select invoice.carrier_invoice_id, invoice.net_amount, coalesce(sum(line.line_amount), 0) as lines
from {{ ref('carrier_invoice') }} as invoice
left join {{ ref('carrier_invoice_line') }} as line on line.carrier_invoice_id = invoice.carrier_invoice_id
group by invoice.carrier_invoice_id, invoice.net_amount
having coalesce(sum(line.line_amount), 0) <> invoice.net_amount
