{% set edi_feeds = "('carrier.invoice_x12', 'carrier.status_x12', 'carrier.invoice_edifact', 'carrier.edi_answer', "
    ~ "'carrier.tender_response')" %}
-- What a carrier's EDI is answered with: every file by whether it could be read (997, CONTRL), and each bill that its
-- content keeps from being settled by an 824.
select
    'edi|read|' || document.document_id as occurrence_key,
    'edi_document'::text as aggregate_type,
    'read:' || document.document_id as aggregate_id,
    'carrier_edi'::text as target,
    'acknowledgement'::text as operation,
    'bulk'::text as lane,
    jsonb_build_object('document_id', document.document_id, 'partner', document.partner, 'name', document.name) as payload,
    'edi.every_interchange_is_answered'::text as rule_id,
    '1'::text as rule_version,
    document.name || ' of ' || document.partner || ' was read' as reason,
    document.correlation_id
from {{ source('landing', 'document') }} as document
where
    document.feed in {{ edi_feeds }}
    and document.channel = 'sftp' and document.readable
    -- a file with several kinds of transactions is a document of several feeds, and is answered once
    and not exists (
        select 1
        from {{ source('landing', 'document') }} as same
        where
            same.feed in {{ edi_feeds }}
            and same.content_sha256 = document.content_sha256 and same.partner = document.partner
            and same.document_id < document.document_id
    )
union all
select
    'edi|advice|' || kept.quarantine_id as occurrence_key,
    'edi_document'::text as aggregate_type,
    'advice:' || kept.quarantine_id as aggregate_id,
    'carrier_edi'::text as target,
    'advice'::text as operation,
    'bulk'::text as lane,
    jsonb_build_object(
        'document_id', document.document_id,
        'partner', document.partner,
        'name', document.name,
        'position', kept.position,
        'invoice_number', kept.natural_key,
        'reasons', to_jsonb(kept.reasons),
        'messages', to_jsonb(kept.messages)
    ) as payload,
    'edi.a_bill_that_waits_says_why'::text as rule_id,
    '1'::text as rule_version,
    'bill ' || kept.natural_key || ' waits: ' || array_to_string(kept.reasons, ', ') as reason,
    document.correlation_id
from {{ source('quality', 'quarantine') }} as kept
inner join {{ source('landing', 'document') }} as document on document.document_id = kept.document_id
where
    -- what could not be read at all is rejected by the 997
    kept.feed = 'carrier.invoice_x12' and kept.record_id is not null and kept.natural_key is not null
    and document.channel = 'sftp'
