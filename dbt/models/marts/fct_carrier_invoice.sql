select
    invoice.carrier_invoice_id,
    judged.scac,
    judged.invoice_number,
    judged.correction,
    judged.invoice_on,
    judged.currency,
    judged.net_amount as billed_amount,
    judged.paid_amount,
    judged.claimed_amount,
    judged.recovered_amount,
    judged.disputed_amount,
    judged.rejected_amount,
    (judged.net_amount - judged.paid_amount - judged.disputed_amount - judged.rejected_amount)::numeric(18, 2)
    as waiting_amount,
    judged.verdict,
    judged.reason,
    judged.is_posted,
    judged.dispute_mode,
    document.name as document_name,
    landed.document_id,
    landed.position
from {{ ref('invoice_verdict') }} as judged
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = judged.carrier_invoice_id
left join {{ source('landing', 'carrier_invoice') }} as landed on landed.record_id = invoice.record_id
left join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
