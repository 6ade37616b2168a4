with admitted as ({{ admitted('carrier', 'erp.carrier') }}),

renamed as (
    select
        record_id,
        correlation_id,
        carrier_id,
        version,
        scac,
        name as carrier_name,
        channel,
        carrier_currency,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
