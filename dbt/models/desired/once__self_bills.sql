-- What a carrier is told of each document by which we billed its move ourselves: it has no bill of its own to go by.
select
    'self_bill|' || document.journal_id as occurrence_key,
    'carrier_invoice'::text as aggregate_type,
    document.aggregate_id,
    'carrier_edi'::text as target,
    'self_bill'::text as operation,
    'bulk'::text as lane,
    jsonb_build_object('journal_id', document.journal_id, 'scac', own.scac, 'bill_number', own.bill_number) as payload,
    own.rule_id,
    own.rule_version,
    'we billed ' || own.bill_number || ' ourselves' as reason,
    document.correlation_id
from {{ ref('self_bill') }} as own
inner join {{ source('effects', 'document') }} as document
    on document.aggregate_id = own.carrier_invoice_id and document.aggregate_type = 'carrier_invoice'
where document.kind = 'movement' and document.operation = 'supplier_invoice'
