-- Freight that becomes landed cost is owed order line by order line: the shares sum to the charge.
with shares as (
    select
        accrual.*,
        coalesce(share.order_id, '') as order_id,
        coalesce(share.order_line, 0) as order_line,
        coalesce(share.accrued_share, accrual.accrued_amount) as posted_amount,
        coalesce(share.functional_share, accrual.functional_amount) as posted_functional_share
    from {{ ref('accrual') }} as accrual
    left join {{ ref('freight_allocation') }} as share
        on share.shipment_id = accrual.shipment_id and share.charge_code = accrual.charge_code
    where accrual.status = 'accrued' and accrual.accrued_amount <> 0 and accrual.treatment = 'landed_cost'
),

posted as (
    select
        accrual.*,
        '' as order_id,
        0 as order_line,
        accrual.accrued_amount as posted_amount,
        accrual.functional_amount as posted_functional_amount
    from {{ ref('accrual') }} as accrual
    where accrual.status = 'accrued' and accrual.accrued_amount <> 0 and accrual.treatment <> 'landed_cost'
    union all
    select
        accrual.*,
        shares.order_id,
        shares.order_line,
        shares.posted_amount,
        {{ functional_with_amount(
            'shares.posted_functional_share', 'shares.posted_amount', ['shares.shipment_id', 'shares.charge_code'],
            ['shares.order_id', 'shares.order_line']
        ) }} as posted_functional_amount
    from shares
    inner join {{ ref('accrual') }} as accrual
        on accrual.shipment_id = shares.shipment_id and accrual.charge_code = shares.charge_code
)

select
    'accrual|' || shipment_id || '|' || charge_code
    || case when order_id <> '' then '|' || order_id || '|' || order_line else '' end as effect_key,
    case from_milestone
        when 'dispatched' then 'dispatch|'
        when 'picked_up' then 'pickup|'
        when 'delivered' then 'delivery|'
        when 'pod_received' then 'proof|'
    end || shipment_id as cause,
    'shipment'::text as aggregate_type,
    shipment_id as aggregate_id,
    case when posted_amount > 0 then expense_account else accrued_account end as debit_account,
    case when posted_amount > 0 then accrued_account else expense_account end as credit_account,
    currency,
    abs(posted_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(posted_functional_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', charge_code,
        'scac', scac,
        'business_unit', business_unit,
        'accrued_on', accrued_on
    )
    || case
        when order_id <> ''
            then jsonb_build_object('order_number', {{ order_number_of('order_id') }}, 'order_line', order_line)
        else '{}'::jsonb
    end as attributes
from posted
where posted_amount <> 0
