{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'match_unit'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_id']}, {'columns': ['same_move'], 'type': 'gin'}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_match', 'aggregate_type': 'carrier_invoice', 'column': 'carrier_invoice_id'
        }
    },
) }}

with invoices as (
    select *
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_match'), 'carrier_invoice') }}
),

units as (
    select
        line.carrier_invoice_id,
        line.match_unit,
        min(line.shipment_reference) as shipment_reference,
        min(line.pro_number) as pro_number,
        sum(line.line_amount)::numeric(18, 2) as invoiced_amount
    from {{ ref('carrier_invoice_line') }} as line
    inner join invoices on invoices.carrier_invoice_id = line.carrier_invoice_id
    group by line.carrier_invoice_id, line.match_unit
),

-- a shipment's lines of a consolidated invoice are looked up by their own references only
keyed as (
    select
        invoices.carrier_invoice_id,
        invoices.scac,
        invoices.invoice_on,
        invoices.admitted_at,
        units.match_unit,
        units.invoiced_amount,
        profile.rule_id,
        profile.rule_version,
        tried.reference_key,
        tried.key_order::int as key_order,
        case
            when units.match_unit = '' then
                case tried.reference_key
                    when 'shipment_reference' then invoices.shipment_reference
                    when 'bol' then invoices.bol_number
                    when 'pro' then invoices.pro_number
                    when 'po' then invoices.po_number
                end
            else
                case tried.reference_key
                    when 'shipment_reference' then units.shipment_reference
                    when 'pro' then units.pro_number
                end
        end as reference
    from invoices
    inner join units on units.carrier_invoice_id = invoices.carrier_invoice_id
    cross join lateral {{ rule_in_force(
        'match_profile', ['newest.reference_keys'],
        "newest.scac in (invoices.scac, '*')", "newest.scac <> '*' desc",
        'coalesce(invoices.ship_on, invoices.invoice_on)', 'invoices.admitted_at'
    ) }} as profile
    cross join lateral unnest(profile.reference_keys) with ordinality as tried (reference_key, key_order)
),

-- A shipment that was called off competes under its own number only (the truck was ordered and not used); its bill of
-- lading, PRO and order are those of the shipment that went instead.
tried as (
    select
        keyed.*,
        candidate.shipment_ids,
        jsonb_array_length(candidate.shipment_ids) as found
    from keyed
    cross join lateral (
        select coalesce(jsonb_agg(distinct fits.shipment_id), '[]'::jsonb) as shipment_ids
        from (
            select shipment.shipment_id
            from {{ ref('shipment') }} as shipment
            where
                keyed.reference_key = 'shipment_reference'
                and shipment.shipment_id = 'tms:' || keyed.reference and shipment.scac = keyed.scac
            union all
            select shipment.shipment_id
            from {{ ref('shipment') }} as shipment
            where
                keyed.reference_key = 'bol'
                and shipment.scac = keyed.scac and shipment.bol_number = keyed.reference
                and not shipment.is_cancelled
            union all
            select shipment.shipment_id
            from {{ ref('shipment') }} as shipment
            where
                keyed.reference_key = 'pro'
                and shipment.scac = keyed.scac and shipment.pro_number = keyed.reference
                and not shipment.is_cancelled
            union all
            select delivery.shipment_id
            from {{ ref('delivery') }} as delivery
            inner join {{ ref('shipment') }} as shipment
                on shipment.shipment_id = delivery.shipment_id and shipment.scac = keyed.scac
                and not shipment.is_cancelled
            where
                keyed.reference_key = 'po'
                and delivery.order_id = 'erp:' || keyed.reference and delivery.is_current
        ) as fits
    ) as candidate
    where keyed.reference is not null
),

-- the first reference that finds anything decides
decided as (
    select
        carrier_invoice_id,
        match_unit,
        jsonb_agg(
            jsonb_build_object('key', reference_key, 'value', reference, 'candidates', shipment_ids)
            order by key_order
        ) as keys_tried,
        (array_agg(reference_key order by key_order) filter (where found > 0))[1] as matched_by,
        (array_agg(shipment_ids order by key_order) filter (where found > 0))[1] as candidates
    from tried
    group by carrier_invoice_id, match_unit
),

judged as (
    select
        units.carrier_invoice_id,
        units.match_unit,
        units.invoiced_amount,
        coalesce(decided.keys_tried, '[]'::jsonb) as keys_tried,
        decided.matched_by,
        coalesce(decided.candidates, '[]'::jsonb) as candidates,
        case jsonb_array_length(coalesce(decided.candidates, '[]'::jsonb))
            when 0 then 'no_candidate'
            when 1 then 'matched'
            else 'several_candidates'
        end as outcome
    from units
    left join decided
        on decided.carrier_invoice_id = units.carrier_invoice_id and decided.match_unit = units.match_unit
)

select
    judged.carrier_invoice_id,
    judged.match_unit,
    judged.outcome,
    case when judged.outcome = 'matched' then judged.candidates ->> 0 end as shipment_id,
    judged.matched_by,
    judged.keys_tried,
    judged.candidates,
    -- no reference fits: is it the move of a shipment that we know?
    case when judged.outcome = 'no_candidate' then move.shipment_ids else '[]'::jsonb end as same_move,
    judged.invoiced_amount,
    '{{ run_id() }}'::text as changed_in_run
from judged
inner join invoices on invoices.carrier_invoice_id = judged.carrier_invoice_id
cross join lateral (
    select coalesce(jsonb_agg(shipment.shipment_id order by shipment.shipment_id), '[]'::jsonb) as shipment_ids
    from {{ ref('shipment') }} as shipment
    where
        judged.outcome = 'no_candidate'
        and shipment.scac = invoices.scac
        and shipment.origin_postal = invoices.origin_postal
        and shipment.destination_postal = invoices.destination_postal
        and shipment.ship_on = invoices.ship_on
        and shipment.weight_lb = invoices.weight_lb
        and not shipment.is_cancelled
) as move
