{{ config(materialized='view', tags=['static', 'pod']) }}

-- The hot path: no build stands between a proof and its invoice. Everything hangs off one delivery by index.
select
    line.*,
    line.order_id || '|' || line.shipment_id || '|'
    || case line.kind when 'goods' then 'goods:' || line.order_line else 'freight' end as line_id,
    proof.captured_at,
    (proof.captured_at at time zone 'UTC')::date as invoice_on,
    proof.admitted_at,
    proof.correlation_id
from {{ ref('billing_line') }} as line
inner join {{ ref('shipment') }} as shipment
    on shipment.shipment_id = line.shipment_id and not shipment.is_cancelled
-- one good proof is enough for ever: the first of them
cross join lateral (
    select judged.captured_at, judged.admitted_at, judged.correlation_id
    from {{ ref('proof_judged') }} as judged
    where judged.shipment_id = line.shipment_id and judged.is_good
    order by judged.captured_at, judged.record_id
    limit 1
) as proof
where
    line.amount > 0
    and (
        line.invoice_per = 'shipment'
        -- counted, not `not exists`: that could be hashed, which reads every proof there is
        or (
            select count(*)
            from {{ ref('delivery') }} as other
            inner join {{ ref('shipment') }} as waiting on waiting.shipment_id = other.shipment_id
            where
                other.order_id = line.order_id
                and other.is_current
                and not waiting.is_cancelled
                and (
                    select count(*)
                    from {{ ref('proof_judged') }} as judged
                    where judged.shipment_id = other.shipment_id and judged.is_good
                ) = 0
        ) = 0
    )
