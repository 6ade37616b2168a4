{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'order_id'],
    tags=['shipments'],
    indexes=[{'columns': ['order_id']}, {'columns': ['customer_invoice_id']}, {'columns': ['changed_in_run']}],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with plans as (
    select
        shipment_id,
        order_lines,
        row_number() over (
            partition by shipment_id order by plan_version desc, occurred_at desc nulls last, record_id desc
        ) = 1 as is_newest
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
),

pairs as (
    select
        plans.shipment_id,
        'erp:' || part.order_number as order_id,
        bool_or(plans.is_newest) as is_current,
        coalesce(sum(part.weight_lb) filter (where plans.is_newest), 0)::numeric(12, 3) as weight_lb,
        coalesce(sum(part.quantity) filter (where plans.is_newest), 0)::int as quantity
    from plans
    cross join lateral jsonb_to_recordset(plans.order_lines) as part (
        order_number text, quantity int, weight_lb numeric(12, 3)
    )
    group by plans.shipment_id, part.order_number
),

freight as (
    select shipment_id, (planned_freight * 100)::bigint as cents
    from {{ ref('shipment') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
),

-- shares by weight, rounded down to cents; by count where nothing is weighed
weighed as (
    select
        pairs.shipment_id,
        pairs.order_id,
        freight.cents,
        case when sum(pairs.weight_lb) over shipments > 0 then pairs.weight_lb else 1 end as part,
        case
            when sum(pairs.weight_lb) over shipments > 0 then sum(pairs.weight_lb) over shipments
            else count(*) over shipments
        end as whole
    from pairs
    inner join freight on freight.shipment_id = pairs.shipment_id
    where pairs.is_current
    window shipments as (partition by pairs.shipment_id)
),

floored as (
    select shipment_id, order_id, cents, floor(cents * part / whole)::bigint as share
    from weighed
),

-- what is left over goes to one fixed order: the largest share, then the lowest number
shared as (
    select
        shipment_id,
        order_id,
        share + case
            when row_number() over (partition by shipment_id order by share desc, order_id) = 1
                then cents - sum(share) over (partition by shipment_id)
            else 0
        end as share
    from floored
)

select
    pairs.shipment_id,
    pairs.order_id,
    pairs.is_current,
    pairs.quantity,
    pairs.weight_lb,
    coalesce(shared.share / 100.0, 0)::numeric(18, 2) as freight_share,
    case orders.invoice_per
        when 'order' then pairs.order_id
        when 'shipment' then pairs.order_id || '/' || pairs.shipment_id
    end as customer_invoice_id,
    '{{ run_id() }}'::text as changed_in_run
from pairs
left join shared on shared.shipment_id = pairs.shipment_id and shared.order_id = pairs.order_id
left join {{ ref('sales_order') }} as orders on orders.order_id = pairs.order_id
