select judged.carrier_invoice_id, judged.net_amount, sum(line.invoiced_amount) as posted
from {{ ref('invoice_verdict') }} as judged
left join {{ ref('invoice_line_verdict') }} as line
    on line.carrier_invoice_id = judged.carrier_invoice_id and line.is_posted
where judged.is_posted
group by judged.carrier_invoice_id, judged.net_amount
having sum(line.invoiced_amount) is distinct from judged.net_amount
