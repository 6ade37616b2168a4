with admitted as ({{ admitted('shipment_plan', 'tms.shipment_plan') }}),

renamed as (
    select
        record_id,
        correlation_id,
        'tms:' || shipment_id as shipment_id,
        shipment_id as shipment_number,
        plan_version,
        event_id,
        scac,
        nullif(pro_number, '') as pro_number,
        nullif(bol_number, '') as bol_number,
        booking_reference,
        equipment,
        weight_lb,
        pieces,
        coalesce(currency, 'USD') as currency,
        amount as planned_amount,
        order_lines,
        legs,
        stops,
        charges,
        mode,
        miles,
        pallets,
        freight_class,
        handling_units,
        accessorials,
        coalesce(direction, 'outbound') as direction,
        ship_on,
        occurred_at,
        admitted_at
    from admitted
)

select * from renamed
