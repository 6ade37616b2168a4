with admitted as ({{ admitted('status_event') }}),

renamed as (
    select
        record_id,
        correlation_id,
        source as feed,
        source_event_id,
        reference_kind,
        reference,
        nullif(scac, '') as scac,
        stop_sequence,
        code_set,
        status_code,
        reason_code,
        coalesce(appointment, false) as is_appointment,
        city,
        state,
        country,
        pieces,
        weight_lb,
        details,
        occurred_local as occurred_local_at,
        occurred_at,
        admitted_at
    from admitted
)

select * from renamed
