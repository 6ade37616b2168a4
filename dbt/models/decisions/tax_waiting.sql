{{ config(materialized='view', tags=['static', 'pod']) }}

-- What tax may have held up, found without asking for the tax: proven and never billed, or nothing was posted since the
-- order or its plan changed. The hour is for a change that was admitted while the invoice before it was on its way.
select
    delivery.shipment_id,
    delivery.order_id,
    delivery.customer_invoice_id
from {{ ref('delivery') }} as delivery
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id and shipment.has_pod
where
    delivery.is_current
    and {{ any_tax_charged() }}
    and not exists (
        select 1
        from {{ source('effects', 'movement') }} as made
        where
            made.aggregate_id = delivery.customer_invoice_id
            and made.relation = 'movement__customer_invoices'
            and made.aggregate_type = 'customer_invoice'
            and made.made_at >= coalesce(
                (
                    select max(changed.admitted_at) + interval '1 hour'
                    from (
                        select ordered.admitted_at
                        from {{ ref('sales_order') }} as ordered
                        where ordered.order_id = delivery.order_id and ordered.version > 1
                        union all
                        select plan.admitted_at
                        from {{ ref('stg_tms__shipment_plans') }} as plan
                        where plan.record_id = shipment.plan_record_id and plan.plan_version > 1
                    ) as changed
                ), '-infinity'
            )
    )
