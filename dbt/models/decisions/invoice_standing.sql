{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id'],
    tags=['settlement'],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

with invoices as (
    select *
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

links as (
    select
        link.carrier_invoice_id,
        bool_or(link.outcome = 'no_candidate') as has_no_candidate,
        bool_or(link.outcome = 'several_candidates') as has_several_candidates,
        jsonb_agg(distinct moved.shipment_id) filter (where moved.shipment_id is not null) as same_move
    from {{ ref('invoice_link') }} as link
    left join lateral jsonb_array_elements_text(link.same_move) as moved (shipment_id) on true
    where {{ in_scope('link.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by link.carrier_invoice_id
),

-- a correction is a legitimate second under its bill's number, unless the same kind bills the same charges again
contents as (
    select
        charge.carrier_invoice_id,
        jsonb_agg(
            jsonb_build_array(charge.shipment_id, charge.charge_code, charge.invoiced_amount)
            order by charge.shipment_id, charge.charge_code
        ) as charges
    from {{ ref('invoice_charge') }} as charge
    inner join invoices on invoices.carrier_invoice_id = charge.carrier_invoice_id
    where invoices.correction <> ''
    group by charge.carrier_invoice_id
),

repeated as (
    select
        invoices.carrier_invoice_id,
        first_value(invoices.carrier_invoice_id) over (
            partition by invoices.scac, invoices.normalized_number, invoices.correction, contents.charges
            order by invoices.business_order
        ) as first_of_number
    from invoices
    inner join contents on contents.carrier_invoice_id = invoices.carrier_invoice_id
),

-- the same number again: the first in business order stands
by_number as (
    select
        invoices.*,
        coalesce(first_bill.carrier_invoice_id, repeated.first_of_number) as first_of_number
    from invoices
    left join repeated on repeated.carrier_invoice_id = invoices.carrier_invoice_id
    left join lateral (
        select other.carrier_invoice_id
        from {{ ref('carrier_invoice') }} as other
        where
            invoices.correction = ''
            and other.scac = invoices.scac
            and other.normalized_number = invoices.normalized_number
            and other.correction = ''
        order by other.business_order
        limit 1
    ) as first_bill on true
),

-- the same charges of one shipment again under another number
billed as (
    select
        charge.carrier_invoice_id,
        charge.shipment_id,
        by_number.scac,
        by_number.business_order,
        jsonb_agg(jsonb_build_array(charge.charge_code, charge.invoiced_amount) order by charge.charge_code) as charges
    from {{ ref('invoice_charge') }} as charge
    inner join by_number on by_number.carrier_invoice_id = charge.carrier_invoice_id
    where by_number.correction = '' and by_number.first_of_number = by_number.carrier_invoice_id
    group by charge.carrier_invoice_id, charge.shipment_id, by_number.scac, by_number.business_order
),

by_move as (
    select
        carrier_invoice_id,
        shipment_id,
        first_value(carrier_invoice_id) over (
            partition by shipment_id, scac, charges order by business_order
        ) as first_of_move
    from billed
),

moved_again as (
    select carrier_invoice_id, min(first_of_move) as first_of_move
    from by_move
    where first_of_move <> carrier_invoice_id
    group by carrier_invoice_id
),

-- no reference fits, but it is the move of a shipment that this carrier has billed
unreferenced as (
    select distinct on (links.carrier_invoice_id)
        links.carrier_invoice_id,
        billed.carrier_invoice_id as first_of_move
    from links
    inner join by_number on by_number.carrier_invoice_id = links.carrier_invoice_id and by_number.correction = ''
    cross join lateral jsonb_array_elements_text(links.same_move) as moved (shipment_id)
    inner join billed on billed.shipment_id = moved.shipment_id and billed.scac = by_number.scac
    where links.has_no_candidate
    order by links.carrier_invoice_id, billed.business_order
)

select
    by_number.carrier_invoice_id,
    case
        when by_number.correction not in ('', 'BD', 'CO', 'AD', 'CR') then 'correction_not_supported'
        when by_number.first_of_number <> by_number.carrier_invoice_id then 'duplicate_number'
        when unreferenced.first_of_move is not null then 'duplicate_move'
        when links.has_no_candidate is not false then 'no_candidate'
        when links.has_several_candidates then 'several_candidates'
        when moved_again.first_of_move is not null then 'duplicate_move'
    end as exception,
    case
        when by_number.correction not in ('', 'BD', 'CO', 'AD', 'CR') then null
        when by_number.first_of_number <> by_number.carrier_invoice_id then by_number.first_of_number
        when unreferenced.first_of_move is not null then unreferenced.first_of_move
        when links.has_no_candidate is not false or links.has_several_candidates then null
        else moved_again.first_of_move
    end as duplicate_of,
    '{{ run_id() }}'::text as changed_in_run
from by_number
left join links on links.carrier_invoice_id = by_number.carrier_invoice_id
left join moved_again on moved_again.carrier_invoice_id = by_number.carrier_invoice_id
left join unreferenced on unreferenced.carrier_invoice_id = by_number.carrier_invoice_id
