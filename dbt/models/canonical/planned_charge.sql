{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'charge_code'],
    tags=['shipments'],
    meta={
        'consumer': 'ingest_shipment_events',
        'scope': {
            'relation': 'decisions.scope_ingest_shipment_events', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with newest_plan as (
    select distinct on (shipment_id) shipment_id, charges, currency
    from {{ ref('stg_tms__shipment_plans') }}
    where {{ in_scope('shipment_id', ref('scope_ingest_shipment_events'), 'shipment') }}
    order by shipment_id, plan_version desc, occurred_at desc nulls last, record_id desc
)

select
    newest_plan.shipment_id,
    part.charge_code,
    newest_plan.currency,
    sum(part.amount)::numeric(18, 2) as planned_amount,
    'plan'::text as basis,
    '{{ run_id() }}'::text as changed_in_run
from newest_plan
cross join lateral jsonb_to_recordset(newest_plan.charges) as part (charge_code text, amount numeric(18, 2))
group by newest_plan.shipment_id, part.charge_code, newest_plan.currency
union all
-- a plan without charges costs what the carrier's contract says
select
    newest_plan.shipment_id,
    rated.charge_code,
    rated.currency,
    sum(rated.amount)::numeric(18, 2) as planned_amount,
    'rated'::text as basis,
    '{{ run_id() }}'::text as changed_in_run
from newest_plan
inner join {{ ref('rated_charge') }} as rated
    on rated.shipment_id = newest_plan.shipment_id and rated.side = 'buy'
where jsonb_array_length(newest_plan.charges) = 0
group by newest_plan.shipment_id, rated.charge_code, rated.currency
