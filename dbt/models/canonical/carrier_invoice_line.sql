{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id', 'line'],
    tags=['settlement'],
    indexes=[{'columns': ['match_unit']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.touched_settlement', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

with invoices as (
    select *, coalesce(ship_on, invoice_on) as charged_on
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('touched_settlement'), 'carrier_invoice') }}
),

-- as the gate reads the map: of each of the ERP's rows the newest version admitted by then; it counts until a newer
-- version is admitted
codes as materialized (
    select
        *,
        min(admitted_at) over (
            partition by charge_code_id order by version, changed_at, record_id
            rows between 1 following and unbounded following
        ) as superseded_at
    from {{ ref('stg_erp__charge_codes') }}
)

select
    invoices.carrier_invoice_id,
    lines.line,
    -- the part of the invoice that is matched as one: all of it, or one shipment's lines of a consolidated one
    case
        -- a consolidated bill's own references are its master's
        when invoices.is_consolidated then coalesce({{ own_reference('lines', 'invoices') }}, '')
        else ''
    end as match_unit,
    lines.partner_code,
    coalesce(map.charge_code, 'UNMAPPED:' || coalesce(lines.partner_code, '')) as charge_code,
    lines.description,
    lines.shipment_reference,
    lines.pro_number,
    lines.bol_number,
    lines.order_number,
    lines.line_amount,
    '{{ run_id() }}'::text as changed_in_run
from invoices
inner join {{ ref('stg_carriers__invoice_lines') }} as lines on lines.record_id = invoices.record_id
left join lateral (
    select codes.charge_code
    from codes
    where codes.partner_code = lines.partner_code and codes.scac in (invoices.scac, '*')
    -- what the map said when the invoice was admitted, about the day of its charges; the carrier's own meaning before
    -- the general one. So a later change of the map does not rewrite what was decided, also when all is rebuilt.
    order by
        (codes.admitted_at <= invoices.admitted_at and coalesce(codes.superseded_at > invoices.admitted_at, true)) desc,
        (
            invoices.charged_on >= coalesce(codes.valid_from_on, '-infinity'::date)
            and invoices.charged_on <= coalesce(codes.valid_to_on, 'infinity'::date)
        ) desc,
        codes.scac <> '*' desc, codes.version desc, codes.valid_from_on desc nulls last, codes.charge_code_id
    limit 1
) as map on true
union all
select
    invoices.carrier_invoice_id,
    row_number() over (partition by invoices.carrier_invoice_id order by planned.charge_code)::int as line,
    ''::text as match_unit,
    null::text as partner_code,
    planned.charge_code,
    case planned.basis when 'rated' then 'by contract' else 'as planned' end as description,
    invoices.shipment_reference,
    null::text as pro_number,
    null::text as bol_number,
    null::text as order_number,
    planned.planned_amount as line_amount,
    '{{ run_id() }}'::text as changed_in_run
from invoices
inner join {{ ref('planned_charge') }} as planned on planned.shipment_id = 'tms:' || invoices.shipment_reference
where invoices.feed = 'ours.self_bill'
