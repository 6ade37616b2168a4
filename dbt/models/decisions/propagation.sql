{{ config(materialized='view', tags=['static']) }}

-- Whom a run has to tell: rows that it changed, as aggregates of the pipelines that read them.
select
    changed_in_run as run_id,
    'release_orders'::text as from_consumer,
    'ingest_shipment_events'::text as consumer,
    'order'::text as aggregate_type,
    order_id as aggregate_id
from {{ ref('sales_order') }}
where changed_in_run <> ''
union all
select changed_in_run, 'ingest_shipment_events', 'post_accruals', 'shipment', shipment_id
from {{ ref('shipment') }} as shipment
where
    changed_in_run <> ''
    and (
        milestone_rank >= 40
        or exists (
            select 1
            from {{ ref('accrual') }} as accrual
            where accrual.shipment_id = shipment.shipment_id
        )
    )
union all
select changed_in_run, 'ingest_shipment_events', 'settle_freight', 'shipment', shipment_id
from {{ ref('shipment') }}
where changed_in_run <> ''
union all
-- every proven shipment of the orders that a changed one has or had: an order may be billed when its last shipment is
-- proven, and also when it is called off or leaves
select changed.run_id, 'ingest_shipment_events', 'invoice_on_pod', 'shipment', proven.shipment_id
from (
    select changed_in_run as run_id, shipment_id
    from {{ ref('shipment') }}
    where changed_in_run <> ''
    union
    select changed_in_run, shipment_id
    from {{ ref('delivery') }}
    where changed_in_run <> ''
) as changed
inner join {{ ref('delivery') }} as part on part.shipment_id = changed.shipment_id
inner join {{ ref('delivery') }} as other on other.order_id = part.order_id
inner join {{ ref('shipment') }} as proven on proven.shipment_id = other.shipment_id and proven.has_pod
union all
-- what is billed has the order's prices, currency and customer
select orders.changed_in_run, 'release_orders', 'invoice_on_pod', 'shipment', proven.shipment_id
from {{ ref('sales_order') }} as orders
inner join {{ ref('delivery') }} as part on part.order_id = orders.order_id
inner join {{ ref('shipment') }} as proven on proven.shipment_id = part.shipment_id and proven.has_pod
where orders.changed_in_run <> ''
union all
-- orders made under terms that became known only now
select terms.changed_in_run, 'sync_master_data', 'release_orders', 'order', orders.order_id
from {{ ref('customer') }} as terms
inner join {{ ref('sales_order') }} as orders
    on orders.customer_id = terms.customer_id
    and (orders.changed_at < terms.valid_to or terms.valid_to is null)
where
    terms.changed_in_run <> ''
    and (
        orders.changed_at >= terms.valid_from
        -- an order older than all terms has the oldest
        or not exists (
            select 1
            from {{ ref('customer') }} as older
            where older.customer_id = terms.customer_id and older.version < terms.version
        )
    )
    and (
        orders.has_customer,
        orders.business_unit,
        orders.freight_billing,
        orders.invoice_per,
        orders.markup_percent
    )
    is distinct from (
        true,
        coalesce(terms.billing_entity, ''),
        coalesce(terms.freight_billing, 'embedded'),
        coalesce(terms.invoice_per, 'shipment'),
        coalesce(terms.markup_percent, 0)
    )
union all
-- a charge whose account came only now: what was due meanwhile has to be accrued
select code.changed_in_run, 'sync_master_data', 'post_accruals', 'shipment', charge.shipment_id
from {{ ref('charge_code') }} as code
inner join {{ ref('planned_charge') }} as charge on charge.charge_code = code.charge_code
inner join {{ ref('shipment') }} as shipment
    on shipment.shipment_id = charge.shipment_id and shipment.milestone_rank >= 40
left join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = charge.shipment_id and accrual.charge_code = charge.charge_code
where code.changed_in_run <> '' and accrual.expense_account is null
union all
-- an exchange rate that something waited for; what has one is not looked at again
select rate.changed_in_run, 'sync_master_data', 'post_accruals', 'shipment', waiting.shipment_id
from {{ ref('exchange_rate') }} as rate
inner join {{ ref('accrual') }} as waiting
    on waiting.status = 'no_exchange_rate'
    and waiting.currency = rate.from_currency and waiting.functional_currency = rate.to_currency
where rate.changed_in_run <> ''
union all
-- whose freight it is, and how it is shared, hangs on the orders
select orders.changed_in_run, 'release_orders', 'post_accruals', 'shipment', part.shipment_id
from {{ ref('sales_order') }} as orders
inner join {{ ref('delivery') }} as part on part.order_id = orders.order_id
inner join {{ ref('shipment') }} as shipment
    on shipment.shipment_id = part.shipment_id and shipment.milestone_rank >= 40
where orders.changed_in_run <> ''
union all
-- and on what is bought
select bought.changed_in_run, 'sync_master_data', 'post_accruals', 'shipment', part.shipment_id
from {{ ref('purchase_order_line') }} as bought
inner join {{ ref('delivery') }} as part on part.order_id = bought.order_id
inner join {{ ref('shipment') }} as shipment
    on shipment.shipment_id = part.shipment_id and shipment.milestone_rank >= 40
where bought.changed_in_run <> ''
union all
-- a bill takes back what was accrued, at the rate of that day
select changed_in_run, 'post_accruals', 'settle_freight', 'shipment', shipment_id
from {{ ref('accrual') }}
where changed_in_run <> ''
union all
-- and is paid by our own document where the contract lets us
select changed_in_run, 'post_accruals', 'settle_freight', 'shipment', shipment_id
from {{ ref('self_bill') }}
where changed_in_run <> ''
union all
-- landed cost goes to order lines as the accrual went
select share.changed_in_run, 'post_accruals', 'settle_freight', 'shipment', share.shipment_id
from {{ ref('freight_allocation') }} as share
inner join {{ ref('accrual') }} as accrual
    on accrual.shipment_id = share.shipment_id and accrual.charge_code = share.charge_code
    and accrual.treatment = 'landed_cost'
where share.changed_in_run <> ''
union all
select code.changed_in_run, 'sync_master_data', 'settle_freight', 'carrier_invoice', line.carrier_invoice_id
from {{ ref('charge_code') }} as code
inner join {{ ref('carrier_invoice_line') }} as line
    on line.partner_code = code.partner_code and line.charge_code = 'UNMAPPED:' || line.partner_code
where code.changed_in_run <> ''
union all
select code.changed_in_run, 'sync_master_data', 'settle_freight', 'carrier_invoice', charge.carrier_invoice_id
from {{ ref('charge_code') }} as code
inner join {{ ref('invoice_charge') }} as charge
    on charge.charge_code = code.charge_code and charge.expense_account is null
where code.changed_in_run <> ''
union all
-- a plan without charges costs what was rated
select changed_in_run, 'rate_shipments', 'ingest_shipment_events', 'shipment', shipment_id
from {{ ref('rating') }}
where changed_in_run <> '' and side = 'buy' and is_needed
union all
-- pallets and dimensions of orders that something could not be rated without, and whose customer it is
select orders.changed_in_run, 'release_orders', 'rate_shipments', 'shipment', part.shipment_id
from {{ ref('sales_order') }} as orders
inner join {{ ref('delivery') }} as part on part.order_id = orders.order_id
where
    orders.changed_in_run <> ''
    and (
        exists (
            select 1
            from {{ ref('rating') }} as rated
            where rated.shipment_id = part.shipment_id and (rated.reason is not null or rated.side = 'sell')
        )
        or exists (
            select 1
            from {{ ref('rate_contract') }} as contract
            where contract.side = 'sell' and contract.party = orders.customer_id
        )
    )
union all
-- what tax may have held up, when anything of tax master data has changed: whether it waited for that can't be asked
-- any more, the views know the change already
select changed.run_id, 'sync_master_data', 'invoice_on_pod', 'shipment', waiting.shipment_id
from (
    select distinct changed_in_run as run_id
    from {{ ref('tax_profile') }}
    where changed_in_run <> ''
    union
    select distinct changed_in_run
    from {{ ref('local_tax_rate') }}
    where changed_in_run <> ''
) as changed
-- looked for only where there is a change
cross join lateral (
    select held.shipment_id
    from {{ ref('tax_waiting') }} as held
    where changed.run_id is not null
    offset 0
) as waiting
union all
-- invoices that an exchange rate may have held up
select changed.run_id, 'sync_master_data', 'invoice_on_pod', 'shipment', waiting.shipment_id
from (
    select distinct changed_in_run as run_id
    from {{ ref('exchange_rate') }}
    where changed_in_run <> ''
) as changed
-- looked for only where there is a change
cross join lateral (
    select held.shipment_id
    from {{ ref('rate_waiting') }} as held
    where changed.run_id is not null
    offset 0
) as waiting
union all
-- and carriers' bills, and money that came for claims
select changed.run_id, 'sync_master_data', 'settle_freight', 'carrier_invoice', waiting.carrier_invoice_id
from (
    select distinct changed_in_run as run_id
    from {{ ref('exchange_rate') }}
    where changed_in_run <> ''
) as changed
cross join lateral (
    select charge.carrier_invoice_id
    from {{ ref('invoice_charge') }} as charge
    where charge.exchange_rate is null and changed.run_id is not null
    union
    -- whether it waited can't be asked any more: the view knows the change already
    select settled.carrier_invoice_id
    from {{ ref('claim_settlement') }} as settled
    where
        settled.kind = 'recovery' and changed.run_id is not null
        and not exists (
            select 1
            from {{ source('effects', 'movement') }} as made
            where
                made.aggregate_id = settled.carrier_invoice_id and made.relation = 'movement__claims'
                and made.aggregate_type = 'carrier_invoice'
                and made.cause = 'dispute|' || settled.event_id || '|' || settled.shipment_id || '|' || settled.charge_code
        )
) as waiting
