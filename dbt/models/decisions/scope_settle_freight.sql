{{ config(
    materialized='incremental',
    incremental_strategy='run_scope',
    unique_key=['run_id', 'aggregate_type', 'aggregate_id'],
    tags=['settlement'],
    meta={'consumer': 'settle_freight'},
) }}

{% set invoice, link, moved = ref('carrier_invoice'), ref('invoice_link'), ref('invoice_same_move') %}
{% set before = decided_before('decisions', 'invoice_charge', ['carrier_invoice_id', 'shipment_id']) %}
{% set numbered = "('', 'RB', 'CA')" %}

-- What is approved on one invoice is not expected on the next: all invoices of a shipment are judged together, and so
-- are those that share another shipment with one of them, and those that may be the same bill under one number.
-- Nearly all that these lead to is in the run already: that is found in whole sets, and only what lies further out is
-- followed step by step.
with recursive matched_now as (
    select aggregate_id as carrier_invoice_id
    from {{ ref('scope_match') }}
    where run_id = '{{ run_id() }}' and run_id <> ''
),

-- the shipments that these speak of, may speak of, or spoke of before
spoken_of as (
    select link.shipment_id
    from matched_now
    inner join {{ link }} as link on link.carrier_invoice_id = matched_now.carrier_invoice_id
    where link.shipment_id is not null
    union
    select moved.shipment_id
    from matched_now
    inner join {{ moved }} as moved on moved.carrier_invoice_id = matched_now.carrier_invoice_id
    union
    select before.shipment_id
    from matched_now
    inner join {{ before }} as before on before.carrier_invoice_id = matched_now.carrier_invoice_id
    union
    select aggregate_id
    from {{ ref('touched_settlement') }}
    where run_id = '{{ run_id() }}' and run_id <> '' and aggregate_type = 'shipment'
),

near as (
    select link.carrier_invoice_id
    from spoken_of
    inner join {{ link }} as link on link.shipment_id = spoken_of.shipment_id
    union all
    select moved.carrier_invoice_id
    from spoken_of
    inner join {{ moved }} as moved on moved.shipment_id = spoken_of.shipment_id
    {%- for mine, theirs in [
        ('normalized_number', 'normalized_number'), ('corrects_number', 'normalized_number'),
        ('normalized_number', 'corrects_number'), ('corrects_number', 'corrects_number'),
    ] %}
    union all
    -- bills, rebills and cancellations of one number
    select other.carrier_invoice_id
    from matched_now
    inner join {{ invoice }} as invoice
        on invoice.carrier_invoice_id = matched_now.carrier_invoice_id and invoice.correction in {{ numbered }}
    inner join {{ invoice }} as other
        on other.scac = invoice.scac and other.{{ theirs }} = invoice.{{ mine }} and other.correction in {{ numbered }}
        and other.carrier_invoice_id <> invoice.carrier_invoice_id
    {%- endfor %}
),

further as (
    select distinct near.carrier_invoice_id
    from near
    where not exists (
        select 1
        from matched_now
        where matched_now.carrier_invoice_id = near.carrier_invoice_id
    )
),

reached as (
    select carrier_invoice_id from further
    union
    select next.carrier_invoice_id
    from reached
    cross join lateral (
        select other.carrier_invoice_id
        from (
            select link.shipment_id
            from {{ link }} as link
            where link.carrier_invoice_id = reached.carrier_invoice_id and link.shipment_id is not null
            union
            select moved.shipment_id
            from {{ moved }} as moved
            where moved.carrier_invoice_id = reached.carrier_invoice_id
        ) as spot
        cross join lateral (
            select link.carrier_invoice_id
            from {{ link }} as link
            where link.shipment_id = spot.shipment_id
            union all
            select moved.carrier_invoice_id
            from {{ moved }} as moved
            where moved.shipment_id = spot.shipment_id
        ) as other
        union all
        select other.carrier_invoice_id
        from {{ invoice }} as invoice
        inner join {{ invoice }} as other
            on other.scac = invoice.scac and other.correction in {{ numbered }}
            and (
                other.normalized_number in (invoice.normalized_number, invoice.corrects_number)
                or other.corrects_number in (invoice.normalized_number, invoice.corrects_number)
            )
        where invoice.carrier_invoice_id = reached.carrier_invoice_id and invoice.correction in {{ numbered }}
    ) as next
)

select
    '{{ run_id() }}'::text as run_id,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id
from (
    select carrier_invoice_id from matched_now
    union
    select carrier_invoice_id from reached
) as found
