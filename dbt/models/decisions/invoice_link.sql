{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'match_unit'],
    tags=['settlement'],
    indexes=[{'columns': ['shipment_id']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_match', 'aggregate_type': 'carrier_invoice', 'column': 'carrier_invoice_id'
        }
    },
) }}

{% set shipment, delivery = ref('shipment'), ref('delivery') %}
{% set rounds = 4 %}

with invoices as (
    select
        *,
        {{ rule_known('match_profile', 'admitted_at') }} as profile_known,
        {{ rule_day('match_profile', 'coalesce(ship_on, invoice_on)') }} as profile_valid
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_match'), 'carrier_invoice') }}
),

profiles as (
    select asked.scac, asked.profile_known, asked.profile_valid, profile.reference_keys
    from (
        select
            scac, profile_known, profile_valid,
            min(coalesce(ship_on, invoice_on)) as valid_on,
            min(admitted_at) as known_at
        from invoices
        group by scac, profile_known, profile_valid
    ) as asked
    cross join lateral {{ rule_in_force(
        'match_profile', ['newest.reference_keys'],
        "newest.scac in (asked.scac, '*')", "newest.scac <> '*' desc", 'asked.valid_on', 'asked.known_at'
    ) }} as profile
),

units as (
    select
        line.carrier_invoice_id,
        line.match_unit,
        min(line.shipment_reference) as shipment_reference,
        min(line.pro_number) as pro_number,
        min(line.bol_number) as bol_number,
        min(line.order_number) as order_number,
        sum(line.line_amount)::numeric(18, 2) as invoiced_amount
    from {{ ref('carrier_invoice_line') }} as line
    where {{ in_scope('line.carrier_invoice_id', ref('scope_match'), 'carrier_invoice') }}
    group by line.carrier_invoice_id, line.match_unit
),

-- a shipment's lines of a consolidated invoice are looked up by their own references only
keyed as (
    select
        invoices.carrier_invoice_id,
        invoices.scac,
        units.match_unit,
        units.invoiced_amount,
        -- our own document knows its shipment, whatever the carrier's bills are found by
        case when invoices.feed = 'ours.self_bill' then array['shipment_reference'] else profiles.reference_keys end
        as reference_keys,
        case when units.match_unit = '' then invoices.shipment_reference else units.shipment_reference end
        as shipment_reference,
        case when units.match_unit = '' then invoices.bol_number else units.bol_number end as bol,
        case when units.match_unit = '' then invoices.pro_number else units.pro_number end as pro,
        case when units.match_unit = '' then invoices.po_number else units.order_number end as po
    from units
    inner join invoices on invoices.carrier_invoice_id = units.carrier_invoice_id
    left join profiles
        on profiles.scac = invoices.scac
        and profiles.profile_known = invoices.profile_known
        and profiles.profile_valid = invoices.profile_valid
),

-- One reference after the other in the order of the carrier's profile, until one finds anything: that one decides. A
-- shipment that was called off competes under its own number only (the truck was ordered and not used); its bill of
-- lading, PRO and order are those of the shipment that went instead.
tried as (
    select
        keyed.*,
        {%- for n in range(1, rounds + 1) %}
        round_{{ n }}.shipment_ids as found_{{ n }},
        {%- endfor %}
        case
            {%- for n in range(1, rounds + 1) %}
            when round_{{ n }}.shipment_ids is not null then {{ n }}
            {%- endfor %}
        end as decided_by
    from keyed
    {%- for n in range(1, rounds + 1) %}
    {% set asks -%}
        {%- for before in range(1, n) %} and round_{{ before }}.shipment_ids is null{% endfor -%}
    {%- endset %}
    left join lateral (
        select array_agg(distinct fits.shipment_id) as shipment_ids
        from (
            select shipment.shipment_id
            from {{ shipment }} as shipment
            where
                keyed.reference_keys[{{ n }}] = 'shipment_reference'{{ asks }}
                and shipment.shipment_id = 'tms:' || keyed.shipment_reference and shipment.scac = keyed.scac
            union all
            select shipment.shipment_id
            from {{ shipment }} as shipment
            where
                keyed.reference_keys[{{ n }}] = 'bol'{{ asks }}
                and shipment.scac = keyed.scac and shipment.bol_number = keyed.bol and not shipment.is_cancelled
            union all
            select shipment.shipment_id
            from {{ shipment }} as shipment
            where
                keyed.reference_keys[{{ n }}] = 'pro'{{ asks }}
                and shipment.scac = keyed.scac and shipment.pro_number = keyed.pro and not shipment.is_cancelled
            union all
            select delivery.shipment_id
            from {{ delivery }} as delivery
            inner join {{ shipment }} as shipment
                on shipment.shipment_id = delivery.shipment_id and shipment.scac = keyed.scac
                and not shipment.is_cancelled
            where
                keyed.reference_keys[{{ n }}] = 'po'{{ asks }}
                and delivery.order_id in ('erp:' || keyed.po, 'erp:po:' || keyed.po) and delivery.is_current
        ) as fits
    ) as round_{{ n }} on true
    {%- endfor %}
),

judged as (
    select
        *,
        case decided_by
            {%- for n in range(1, rounds + 1) %}
            when {{ n }} then found_{{ n }}
            {%- endfor %}
        end as candidates,
        case
            when decided_by is null then 'no_candidate'
            when
                case decided_by
                    {%- for n in range(1, rounds + 1) %}
                    when {{ n }} then cardinality(found_{{ n }})
                    {%- endfor %}
                end = 1 then 'matched'
            else 'several_candidates'
        end as outcome
    from tried
)

select
    judged.carrier_invoice_id,
    judged.match_unit,
    judged.outcome,
    case when judged.outcome = 'matched' then judged.candidates[1] end as shipment_id,
    judged.reference_keys[judged.decided_by] as matched_by,
    case judged.reference_keys[judged.decided_by]
        when 'shipment_reference' then judged.shipment_reference
        when 'bol' then judged.bol
        when 'pro' then judged.pro
        when 'po' then judged.po
    end as matched_reference,
    case
        when judged.outcome = 'matched' and judged.decided_by = 1 then '[]'::jsonb
        else (
            select
                coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'key', tried.key, 'value', tried.reference,
                            'candidates', case when tried.round = judged.decided_by then judged.candidates else '{}' end
                        )
                        order by tried.round
                    ), '[]'::jsonb
                )
            from (
                select
                    part.key,
                    part.round,
                    case part.key
                        when 'shipment_reference' then judged.shipment_reference
                        when 'bol' then judged.bol
                        when 'pro' then judged.pro
                        when 'po' then judged.po
                    end as reference
                from unnest(judged.reference_keys) with ordinality as part (key, round)
                where part.round <= coalesce(judged.decided_by, {{ rounds }})
            ) as tried
            where tried.reference is not null
        )
    end as keys_tried,
    case when judged.outcome = 'several_candidates' then to_jsonb(judged.candidates) else '[]'::jsonb end as candidates,
    judged.invoiced_amount,
    '{{ run_id() }}'::text as changed_in_run
from judged
