select
    'erp|shipment|' || shipment.shipment_number || '|status' as effect_key,
    'erp'::text as target,
    'shipment'::text as object_type,
    shipment.shipment_number as object_id,
    'status'::text as aspect,
    milestones.erp_status as state,
    string_to_array(milestones.erp_path, ' ') as path,
    false as requires_prior,
    'shipment'::text as aggregate_type,
    shipment.shipment_id as aggregate_id,
    'bulk'::text as lane,
    jsonb_build_object(
        'shipment_id', shipment.shipment_number,
        'milestone', shipment.milestone,
        'delivered_at', shipment.delivered_at
    ) as payload,
    'status.shipment'::text as rule_id,
    '1'::text as rule_version,
    'the least advanced leg is ' || shipment.milestone as reason,
    shipment.correlation_id
from {{ ref('shipment') }} as shipment
inner join {{ ref('milestones') }} as milestones on milestones.milestone = shipment.milestone
union all
select
    'erp|shipment|' || shipment.shipment_number || '|plan' as effect_key,
    'erp'::text as target,
    'shipment'::text as object_type,
    shipment.shipment_number as object_id,
    'plan'::text as aspect,
    -- a plan without charges is told again when it is rated, which is after it came
    'v' || shipment.plan_version
    || case when shipment.is_rated then ' rated ' || shipment.planned_freight || ' ' || shipment.currency else '' end
    as state,
    null::text[] as path,
    false as requires_prior,
    'shipment'::text as aggregate_type,
    shipment.shipment_id as aggregate_id,
    'bulk'::text as lane,
    jsonb_build_object(
        'shipment_id', shipment.shipment_number,
        'plan_version', shipment.plan_version,
        'scac', shipment.scac,
        'booking_reference', shipment.booking_reference,
        'order_numbers', shipment.order_numbers,
        'estimated_freight', shipment.planned_freight::text,
        'currency', shipment.currency
    ) as payload,
    'plan.newest'::text as rule_id,
    '1'::text as rule_version,
    'plan version ' || shipment.plan_version || ' of the TMS' as reason,
    shipment.correlation_id
from {{ ref('shipment') }} as shipment
