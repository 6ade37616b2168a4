-- What order lines bear of a bill is all that it costs, to the cent, in both currencies; and so is what it takes back.
select cost.carrier_invoice_id, cost.shipment_id, cost.charge_code
from {{ ref('invoice_cost') }} as cost
inner join {{ ref('invoice_line_verdict') }} as line
    on line.carrier_invoice_id = cost.carrier_invoice_id
    and line.shipment_id = cost.shipment_id and line.charge_code = cost.charge_code
group by
    cost.carrier_invoice_id, cost.shipment_id, cost.charge_code, line.paid_amount, line.claimed_amount,
    line.recovered_amount, line.exchange_rate, line.reversal_amount, line.reversal_functional_amount,
    line.exchange_difference_amount
having
    sum(cost.cost_share) <> line.paid_amount - line.claimed_amount + line.recovered_amount
    or sum(cost.cost_functional_share)
    <> round((line.paid_amount - line.claimed_amount + line.recovered_amount) * line.exchange_rate, 2)
    or sum(cost.reversal_share) <> line.reversal_amount
    or sum(cost.reversal_functional_share) <> line.reversal_functional_amount
    or sum(cost.exchange_difference_share) <> line.exchange_difference_amount
