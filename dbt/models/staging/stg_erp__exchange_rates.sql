with admitted as (
    select
        landed.*,
        -- all that one pass of the gate let in was known at one moment
        case when admission.origin = 'gate' then coalesce(gate.gated_at, admission.admitted_at) else admission.admitted_at
        end as known_at
    from {{ source('landing', 'exchange_rate') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.exchange_rate' and admission.record_id = landed.record_id
    left join {{ source('quality', 'gated_batch') }} as gated on gated.batch_id = admission.batch_id
    left join {{ source('quality', 'gate') }} as gate on gate.gate_id = gated.gate_id
),

renamed as (
    select
        record_id,
        correlation_id,
        exchange_rate_id,
        version,
        from_currency,
        to_currency,
        source,
        rate,
        rate_on,
        changed_at,
        known_at
    from admitted
)

select * from renamed
