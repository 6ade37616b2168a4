{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id'],
    tags=['settlement'],
    indexes=[
        {'columns': ['scac', 'normalized_number']},
        {'columns': ['scac', 'corrects_number']},
        {'columns': ['shipment_reference']},
        {'columns': ['bol_number']},
        {'columns': ['pro_number']},
        {'columns': ['po_number']},
        {'columns': ['scac', 'origin_postal', 'destination_postal', 'ship_on']},
    ],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.touched_settlement', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

{% set touched_settlement = ref('touched_settlement') %}

with invoices as (
    select *
    from {{ ref('stg_carriers__invoices') }}
    {% if is_scoped() %}
    where record_id in (
        select touched.record_id
        from {{ touched_settlement }} as touched
        where touched.run_id = '{{ run_id() }}' and touched.record_id is not null
    )
    {% endif %}
),

-- what the lines say about themselves: a consolidated invoice bills several shipments
line_references as (
    select
        lines.record_id,
        count(distinct {{ own_reference('lines', 'invoices') }}) as own_references,
        min(lines.shipment_reference) as shipment_reference,
        min(lines.pro_number) as pro_number,
        case when min(lines.bol_number) = max(lines.bol_number) then min(lines.bol_number) end as bol_number,
        case when min(lines.order_number) = max(lines.order_number) then min(lines.order_number) end as order_number
    from {{ ref('stg_carriers__invoice_lines') }} as lines
    inner join invoices on invoices.record_id = lines.record_id
    group by lines.record_id
),

-- who bills in a carrier's name, asked once for each name and day
aliases as (
    select asked.alias, asked.invoice_on, asked.admitted_at, known.scac
    from (
        select distinct invoices.scac as alias, invoices.invoice_on, invoices.admitted_at
        from invoices
        where invoices.scac in (select rule.alias from {{ source('rules', 'carrier_alias') }} as rule)
    ) as asked
    cross join lateral {{ rule_in_force(
        'carrier_alias', ['newest.scac'], 'newest.alias = asked.alias', 'newest.alias',
        'asked.invoice_on', 'asked.admitted_at'
    ) }} as known
)

select
    invoices.carrier_invoice_id,
    invoices.record_id,
    invoices.feed,
    coalesce(aliases.scac, invoices.scac) as scac,
    coalesce(invoices.biller, invoices.scac) as billed_by,
    invoices.invoice_number,
    {{ normalized_number('invoices.invoice_number') }} as normalized_number,
    invoices.correction,
    -- the bill that a rebill or a cancellation speaks of: the one it names, or the one whose number it has
    case
        when invoices.correction in ('RB', 'CA', 'RF', 'RP')
            then {{ normalized_number('coalesce(invoices.corrects_number, invoices.invoice_number)') }}
    end as corrects_number,
    coalesce(lines.own_references > 1, false)
    or coalesce(
        lines.own_references = 1 and invoices.shipment_reference <> lines.shipment_reference, false
    ) as is_consolidated,
    case
        when lines.own_references = 1 then coalesce(invoices.shipment_reference, lines.shipment_reference)
        else invoices.shipment_reference
    end as shipment_reference,
    case when lines.own_references = 1 then coalesce(invoices.bol_number, lines.bol_number) else invoices.bol_number end
    as bol_number,
    case
        when lines.own_references = 1 then coalesce(invoices.pro_number, lines.pro_number)
        else invoices.pro_number
    end as pro_number,
    case when lines.own_references = 1 then coalesce(invoices.po_number, lines.order_number) else invoices.po_number end
    as po_number,
    invoices.origin_postal,
    invoices.destination_postal,
    invoices.ship_on,
    invoices.service_level,
    invoices.weight_lb,
    invoices.currency,
    invoices.net_amount,
    invoices.invoice_on,
    -- business order: date, first bills before corrections, number, and the content where all else is the same
    to_char(invoices.invoice_on, 'YYYY-MM-DD') || case invoices.correction when '' then ' 0 ' else ' 1 ' end
    || invoices.invoice_number || ' ' || invoices.content_sha256 as business_order,
    invoices.received_at,
    invoices.admitted_at,
    invoices.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from invoices
left join line_references as lines on lines.record_id = invoices.record_id
left join aliases
    on aliases.alias = invoices.scac and aliases.invoice_on = invoices.invoice_on
    and aliases.admitted_at = invoices.admitted_at
union all
-- What we bill ourselves for a carrier is a bill among its others, the first of its move whatever its day: the carrier's
-- own bill of the move is the second.
select
    own.carrier_invoice_id,
    null::bigint as record_id,
    'ours.self_bill'::text as feed,
    own.scac,
    own.scac as billed_by,
    own.bill_number as invoice_number,
    -- nobody else spells it
    own.bill_number as normalized_number,
    ''::text as correction,
    null::text as corrects_number,
    false as is_consolidated,
    shipment.shipment_number as shipment_reference,
    null::text as bol_number,
    null::text as pro_number,
    null::text as po_number,
    shipment.origin_postal,
    shipment.destination_postal,
    shipment.ship_on,
    null::text as service_level,
    shipment.weight_lb,
    shipment.currency,
    planned.net_amount,
    own.billed_on as invoice_on,
    -- sorts before every day
    '!' || own.bill_number as business_order,
    own.known_at as received_at,
    own.known_at as admitted_at,
    own.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from {{ ref('self_bill') }} as own
inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = own.shipment_id
inner join lateral (
    select sum(charge.planned_amount)::numeric(18, 2) as net_amount
    from {{ ref('planned_charge') }} as charge
    where charge.shipment_id = own.shipment_id
) as planned on planned.net_amount is not null
where
    own.is_self_billed and own.billed_on is not null and own.known_at is not null and own.scac is not null
    and {{ in_scope('own.carrier_invoice_id', touched_settlement, 'carrier_invoice') }}
