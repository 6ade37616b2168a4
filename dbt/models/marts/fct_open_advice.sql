-- days are counted against the report's moment
select
    outbox_id,
    partner,
    set_id,
    control_number,
    invoice_number,
    state,
    sent_at,
    acknowledged_at as answered_at,
    coalesce(
        greatest(floor(extract(epoch from '{{ var("as_of") }}'::timestamptz - sent_at) / 86400), 0), 0
    )::int as age_days,
    reason
from {{ ref('edi_sent') }}
where state <> 'acknowledged'
