{{ config(materialized='view', tags=['static', 'pod']) }}

-- Proven, to be billed in another currency than that of the books, and never billed: what an exchange rate may have held
-- up. Empty where every order is in the currency of the books.
select
    delivery.shipment_id,
    delivery.order_id,
    delivery.customer_invoice_id,
    ordered.currency,
    books.functional_currency,
    books.rate_source,
    books.rate_max_age_days,
    proof.invoice_on
from {{ ref('delivery') }} as delivery
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = delivery.shipment_id and shipment.has_pod
inner join {{ ref('sales_order') }} as ordered
    on ordered.order_id = delivery.order_id
    and exists (
        select 1
        from {{ source('rules', 'currency_policy') }} as policy
        where policy.functional_currency <> ordered.currency
    )
cross join lateral (
    select
        (min(judged.captured_at) at time zone 'UTC')::date as invoice_on,
        min(judged.admitted_at) as known_at
    from {{ ref('proof_judged') }} as judged
    where judged.shipment_id = delivery.shipment_id and judged.is_good
) as proof
cross join lateral {{ rule_in_force(
    'currency_policy', ['newest.functional_currency', 'newest.rate_source', 'newest.rate_max_age_days'],
    "newest.business_unit in (ordered.business_unit, '*')",
    "newest.business_unit <> '*' desc",
    'proof.invoice_on', 'proof.known_at'
) }} as books
where
    delivery.is_current
    and ordered.currency <> books.functional_currency
    and not exists (
        select 1
        from {{ source('effects', 'movement') }} as made
        where
            made.aggregate_id = delivery.customer_invoice_id
            and made.relation = 'movement__customer_invoices'
            and made.aggregate_type = 'customer_invoice'
    )
