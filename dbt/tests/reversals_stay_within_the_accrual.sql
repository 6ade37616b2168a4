-- All bills together never take back more than was accrued, nor less than nothing.
select shipment_id, charge_code, max(planned_amount) as planned_amount, sum(reversal_amount) as reversed
from {{ ref('invoice_line_verdict') }}
group by shipment_id, charge_code
having
    sum(reversal_amount) < least(coalesce(max(planned_amount), 0), 0)
    or sum(reversal_amount) > greatest(coalesce(max(planned_amount), 0), 0)
