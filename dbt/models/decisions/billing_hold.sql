{{ config(materialized='view', tags=['static', 'pod']) }}

with proven as (
    select distinct proof.shipment_id, proof.shipment_number
    from {{ ref('stg_driver__proofs_of_delivery') }} as proof
    left join {{ ref('shipment') }} as moved on moved.shipment_id = proof.shipment_id
    -- goods that we buy are billed to nobody
    where coalesce(moved.direction, 'outbound') <> 'inbound'
),

-- a good proof is never undone by a later record; without one the newest says what is missing
newest as (
    select distinct on (shipment_id) *
    from {{ ref('proof_judged') }}
    order by shipment_id, is_good desc, captured_at desc, record_id desc
),

waiting as (
    select distinct delivery.shipment_id
    from {{ ref('delivery') }} as delivery
    inner join {{ ref('sales_order') }} as orders
        on orders.order_id = delivery.order_id and orders.invoice_per = 'order'
    inner join {{ ref('delivery') }} as other
        on other.order_id = delivery.order_id and other.shipment_id <> delivery.shipment_id and other.is_current
    inner join {{ ref('shipment') }} as late on late.shipment_id = other.shipment_id and not late.is_cancelled
    left join newest on newest.shipment_id = other.shipment_id
    where delivery.is_current and newest.is_good is not true
),

unordered as (
    select delivery.shipment_id
    from {{ ref('delivery') }} as delivery
    left join {{ ref('sales_order') }} as orders on orders.order_id = delivery.order_id
    where delivery.is_current
    group by delivery.shipment_id
    having bool_or(orders.order_id is null or not orders.has_customer)
),

other_currency as (
    select distinct delivery.shipment_id
    from {{ ref('delivery') }} as delivery
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id
    inner join {{ ref('sales_order') }} as orders
        on orders.order_id = delivery.order_id
        and orders.freight_billing = 'pass_through' and orders.currency <> shipment.currency
    where delivery.is_current and delivery.freight_share <> 0
),

-- one line whose tax can't be said holds its whole invoice, or the correction of one that was billed
untaxed as (
    select distinct waiting.shipment_id
    from {{ ref('tax_waiting') }} as waiting
    -- by document, so that only what may wait is looked at
    cross join lateral (
        select count(tax.refusal) as refused
        from {{ ref('billing_tax') }} as tax
        where tax.document_id = waiting.customer_invoice_id and not tax.is_question
    ) as found
    where found.refused > 0
),

-- nothing can be posted in the books before what it is worth there is known
untranslated as (
    select distinct waiting.shipment_id
    from {{ ref('rate_waiting') }} as waiting
    where
        {{ no_rate_published('waiting') }}
),

held as (
    select
        proven.shipment_id,
        proven.shipment_number,
        newest.captured_at,
        array_remove(
            array[
                case when untranslated.shipment_id is not null then 'exchange_rate_missing' end,
                case when other_currency.shipment_id is not null then 'freight_currency_differs' end,
                case when newest.shipment_id is null then 'no_plan' end,
                case when unordered.shipment_id is not null then 'no_order' end,
                case when newest.has_osd and not newest.is_good then 'pod_osd_reported' end,
                case when newest.has_other_pieces then 'pod_piece_count_differs' end,
                case when newest.is_unsigned then 'pod_signature_missing' end,
                case when untaxed.shipment_id is not null then 'tax_not_decided' end,
                case when newest.is_good and waiting.shipment_id is not null then 'waiting_for_other_pods' end
            ], null
        ) as reasons
    from proven
    left join newest on newest.shipment_id = proven.shipment_id
    left join waiting on waiting.shipment_id = proven.shipment_id
    left join unordered on unordered.shipment_id = proven.shipment_id
    left join other_currency on other_currency.shipment_id = proven.shipment_id
    left join untaxed on untaxed.shipment_id = proven.shipment_id
    left join untranslated on untranslated.shipment_id = proven.shipment_id
)

select shipment_id, shipment_number, captured_at, reasons
from held
where cardinality(reasons) > 0
