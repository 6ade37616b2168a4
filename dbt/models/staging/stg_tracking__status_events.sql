with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'status_event') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = landed.source and admission.record_id = landed.record_id
),

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
