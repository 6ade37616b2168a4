{{ config(
    materialized='incremental',
    unique_key=['order_id'],
    tags=['orders'],
    indexes=[{'columns': ['changed_in_run']}, {'columns': ['customer_id']}],
    meta={
        'consumer': 'release_orders',
        'scope': {'relation': 'decisions.scope_release_orders', 'aggregate_type': 'order', 'column': 'order_id'}
    },
) }}

with newest as (
    select distinct on (order_id) *
    from {{ ref('stg_erp__sales_orders') }}
    where {{ in_scope('order_id', ref('scope_release_orders'), 'order') }}
    order by order_id, version desc, changed_at desc, record_id desc
)

select
    newest.order_id,
    newest.order_number,
    newest.version,
    newest.status,
    newest.customer_id,
    newest.ship_to_id,
    newest.shipping_conditions,
    newest.service_requirements,
    coalesce(newest.currency, 'USD') as currency,
    newest.total_amount,
    -- the customer's terms as they held when this version of the order was made; where none is that old, the oldest
    coalesce(terms.freight_billing, 'embedded') as freight_billing,
    coalesce(terms.invoice_per, 'shipment') as invoice_per,
    coalesce(terms.markup_percent, 0)::numeric(6, 2) as markup_percent,
    coalesce(terms.billing_entity, '') as business_unit,
    terms.customer_id is not null as has_customer,
    newest.requested_from_at,
    newest.requested_to_at,
    newest.changed_at,
    newest.admitted_at,
    newest.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from newest
left join lateral (
    select
        customer.customer_id,
        customer.billing_entity,
        customer.freight_billing,
        customer.invoice_per,
        customer.markup_percent
    from {{ ref('stg_erp__customers') }} as customer
    where customer.customer_id = newest.customer_id
    order by
        customer.changed_at <= newest.changed_at desc,
        case when customer.changed_at <= newest.changed_at then customer.version end desc nulls last,
        customer.version
    limit 1
) as terms on true
