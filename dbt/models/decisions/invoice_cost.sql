{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'shipment_id', 'charge_code', 'order_id', 'order_line'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_id']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

{% set whole = ['shares.carrier_invoice_id', 'shares.shipment_id', 'shares.charge_code'] %}
{% set key = ['shares.order_id', 'shares.order_line'] %}

-- Only freight that becomes landed cost is posted line by line. What is taken back of an accrual is shared as a running
-- sum, so that a line's accrual is gone to the cent when the charge's is, in however many bills.
with landed as (
    select
        line.carrier_invoice_id,
        line.shipment_id,
        line.charge_code,
        invoice.admitted_at,
        line.paid_amount - line.claimed_amount + line.recovered_amount as cost_amount,
        round(
            (line.paid_amount - line.claimed_amount + line.recovered_amount) * line.exchange_rate, 2
        ) as cost_functional_amount,
        line.exchange_difference_amount,
        line.reversed_before_amount as before_amount,
        line.reversed_before_amount + line.reversal_amount as after_amount,
        {{ functional_step(
            'charge.accrued_amount', 'charge.accrued_functional_amount', '0', 'line.reversed_before_amount'
        ) }} as before_functional_amount,
        {{ functional_step(
            'charge.accrued_amount', 'charge.accrued_functional_amount', '0',
            'line.reversed_before_amount + line.reversal_amount'
        ) }} as after_functional_amount
    from {{ ref('invoice_line_verdict') }} as line
    inner join {{ ref('invoice_charge') }} as charge
        on charge.carrier_invoice_id = line.carrier_invoice_id
        and charge.shipment_id = line.shipment_id and charge.charge_code = line.charge_code
    inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = line.carrier_invoice_id
    where
        line.treatment = 'landed_cost' and line.is_posted
        and {{ in_scope('line.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

-- a charge that nobody planned is shared as the largest planned one is
shared_like as (
    select distinct on (landed.shipment_id, landed.charge_code)
        landed.shipment_id,
        landed.charge_code,
        planned.charge_code as like_charge_code
    from landed
    inner join {{ ref('planned_charge') }} as planned on planned.shipment_id = landed.shipment_id
    order by
        landed.shipment_id, landed.charge_code, planned.charge_code = landed.charge_code desc,
        planned.planned_amount desc, planned.charge_code
),

-- where no order line is known the goods bear it as one
parts as (
    select
        landed.*,
        coalesce(share.order_id, '') as order_id,
        coalesce(share.order_line, 0) as order_line,
        coalesce(share.part, 1) as part,
        coalesce(share.reason, 'the order lines are not known') as allocation_reason
    from landed
    left join shared_like
        on shared_like.shipment_id = landed.shipment_id and shared_like.charge_code = landed.charge_code
    left join {{ ref('freight_allocation') }} as share
        on share.shipment_id = landed.shipment_id and share.charge_code = shared_like.like_charge_code
),

shares as (
    select *
    from {{ allocated(
        'parts', ['carrier_invoice_id', 'shipment_id', 'charge_code'], ['order_id', 'order_line'], 'part', {
            'cost_amount': 'cost_share',
            'cost_functional_amount': 'cost_functional_share',
            'exchange_difference_amount': 'exchange_difference_share',
            'before_amount': 'before_share',
            'after_amount': 'after_share',
            'before_functional_amount': 'before_functional_share',
            'after_functional_amount': 'after_functional_share'
        }
    ) }} as allocated
),

folded as (
    select
        shares.*,
        shares.after_share - shares.before_share as reversal_share,
        {{ functional_with_amount('shares.cost_functional_share', 'shares.cost_share', whole, key) }}
        as cost_functional_folded,
        {{ functional_with_amount(
            '(shares.after_functional_share - shares.before_functional_share)',
            '(shares.after_share - shares.before_share)', whole, key
        ) }} as reversal_functional_share
    from shares
),

-- What was still there and what was sold of a line's goods as known when the bill was admitted: later sales split
-- nothing anew. Of goods of which nothing is known none are sold; of goods that are neither there nor sold (lost,
-- scrapped) nothing is left that could bear the freight.
stocked as (
    select
        folded.*,
        stock.on_hand_quantity,
        stock.sold_quantity,
        case
            when stock.received_quantity is null or stock.received_quantity = 0 then 0
            when stock.on_hand_quantity + stock.sold_quantity = 0 then 1
            else stock.sold_quantity
        end as sold_part,
        case
            when stock.received_quantity is null or stock.received_quantity = 0 then 1
            when stock.on_hand_quantity + stock.sold_quantity = 0 then 0
            else stock.on_hand_quantity
        end as on_hand_part
    from folded
    left join lateral (
        select
            sum(newest.received_quantity) as received_quantity,
            sum(newest.on_hand_quantity) as on_hand_quantity,
            sum(newest.sold_quantity) as sold_quantity
        from (
            select distinct on (position.stock_id)
                position.received_quantity,
                position.on_hand_quantity,
                position.sold_quantity
            from {{ ref('stg_erp__stock_positions') }} as position
            where
                position.order_id = folded.order_id and position.order_line = folded.order_line
                and position.admitted_at <= folded.admitted_at
            order by position.stock_id, position.version desc, position.changed_at desc, position.record_id desc
        ) as newest
    ) as stock on true
),

split as (
    select
        *,
        {{ sold_share('cost_share', 'on_hand_part', 'sold_part') }} as sold_share,
        {{ sold_share('cost_functional_folded', 'on_hand_part', 'sold_part') }} as sold_functional,
        {{ sold_share('exchange_difference_share', 'on_hand_part', 'sold_part') }} as sold_exchange_difference_share
    from stocked
)

select
    carrier_invoice_id,
    shipment_id,
    charge_code,
    order_id,
    order_line,
    on_hand_quantity::numeric(18, 3) as on_hand_quantity,
    sold_quantity::numeric(18, 3) as sold_quantity,
    cost_share,
    sold_share::numeric(18, 2) as sold_share,
    cost_functional_folded::numeric(18, 2) as cost_functional_share,
    -- nothing is posted without an amount
    case when sold_share = 0 then 0 when sold_share = cost_share then cost_functional_folded else sold_functional end
    ::numeric(18, 2) as sold_functional_share,
    exchange_difference_share,
    sold_exchange_difference_share::numeric(18, 2) as sold_exchange_difference_share,
    reversal_share::numeric(18, 2) as reversal_share,
    reversal_functional_share::numeric(18, 2) as reversal_functional_share,
    allocation_reason || case
        when on_hand_quantity is null then '; nothing is known of its stock: none is sold'
        else '; ' || trim_scale(on_hand_quantity) || ' on hand, ' || trim_scale(sold_quantity) || ' sold'
    end as reason,
    '{{ run_id() }}'::text as changed_in_run
from split
