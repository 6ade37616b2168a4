{{ config(tags=['static', 'pod']) }}

-- Tax is asked for only where some policy charges it. An invoice of which a line's tax can't be said is not made at all;
-- billing_hold says why.
with parts as (
    select
        line.*,
        taxed.cause,
        taxed.part_amount,
        taxed.attributes as tax_attributes,
        taxed.reason as tax_reason
    from {{ ref('billable_line') }} as line
    cross join lateral (
        select
            count(*) > 0 as is_taxed,
            count(found.refusal) as refused
        from {{ ref('billing_tax') }} as found
        where
            found.document_id = line.customer_invoice_id
            and exists (select 1 from {{ source('rules', 'tax_policy') }} as policy where policy.is_charged)
    ) as document
    cross join lateral (
        select
            '' as cause,
            line.amount as part_amount,
            '{}'::jsonb as attributes,
            null::text as reason
        where not document.is_taxed
        union all
        -- one movement for each category and rate that a line has: an invoice's line has one
        select
            '|' || part.category || ':' || part.rate_percent,
            sum(part.base),
            jsonb_build_object(
                'tax_category', part.category,
                'tax_rate_percent', part.rate_percent::text,
                'tax_reason_code', min(part.reason_code),
                'tax_reason', min(part.reason)
            ),
            min(part.reason)
        from (
            select
                found.part,
                found.category,
                sum(found.rate_percent) as rate_percent,
                max(found.taxable_base) as base,
                min(found.reason_code) as reason_code,
                min(found.reason) as reason
            from {{ ref('billing_tax') }} as found
            where
                document.is_taxed
                and found.document_id = line.customer_invoice_id
                and found.line_id = line.line_id
            group by found.part, found.category
        ) as part
        where part.base > 0
        group by part.category, part.rate_percent
    ) as taxed
    where document.refused = 0
),

taxes as (
    select
        found.document_id,
        found.jurisdiction,
        found.tax_name,
        found.category,
        found.rate_percent,
        min(found.tax_account) as tax_account,
        sum(found.taxable_base) as taxable_base,
        sum(found.tax_amount)::numeric(18, 2) as amount,
        min(found.currency) as currency,
        min(split_part(found.supply_group, '|', 1)) as order_id,
        min(split_part(found.supply_group, '|', 2)) as shipment_id,
        max(found.tax_on) as invoice_on,
        max(found.admitted_at) as admitted_at,
        min(found.correlation_id) as correlation_id,
        min(found.rate_rule_id) as rate_rule_id,
        max(found.rate_rule_version) as rate_rule_version,
        min(found.reason) as reason
    from (
        select
            tax.*,
            count(tax.refusal) over (partition by tax.document_id) as refused
        from {{ ref('billing_tax') }} as tax
        where
            not tax.is_question
            and exists (select 1 from {{ source('rules', 'tax_policy') }} as policy where policy.is_charged)
    ) as found
    where found.refused = 0
    group by found.document_id, found.jurisdiction, found.tax_name, found.category, found.rate_percent
)

select
    'invoice|' || parts.line_id as effect_key,
    'pod|' || parts.customer_invoice_id || parts.cause as cause,
    'customer_invoice'::text as aggregate_type,
    parts.customer_invoice_id as aggregate_id,
    policy.receivable_account as debit_account,
    case parts.kind when 'goods' then policy.goods_account else policy.freight_account end as credit_account,
    parts.currency,
    parts.part_amount::numeric(18, 2) as amount,
    parts.currency as functional_currency,
    parts.part_amount::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    policy.rule_id,
    policy.rule_version::text as rule_version,
    case parts.kind
        when 'goods' then 'delivered and proven'
        else 'share of planned freight by weight, ' || parts.freight_share || ' plus ' || parts.markup_percent || ' %'
    end || coalesce('; ' || parts.tax_reason, '') as reason,
    parts.correlation_id,
    jsonb_build_object(
        'kind', parts.kind,
        'order_line', parts.order_line,
        'order_number', parts.order_number,
        'shipment_id', substr(parts.shipment_id, 5),
        'customer_id', parts.customer_id,
        'description', parts.description,
        'ledger_account', case parts.kind when 'goods' then policy.goods_account else policy.freight_account end,
        'invoice_on', parts.invoice_on
    ) || parts.tax_attributes as attributes
from parts
cross join lateral {{ rule_in_force(
    'billing_policy', ['newest.receivable_account', 'newest.goods_account', 'newest.freight_account'],
    "newest.customer_id in (parts.customer_id, '*')",
    "newest.customer_id <> '*' desc",
    "parts.invoice_on", 'parts.admitted_at'
) }} as policy
union all
select
    'invoice|' || taxes.order_id || '|'
    || case taxes.document_id when taxes.order_id then '' else taxes.shipment_id end
    || '|tax:' || taxes.jurisdiction || ':' || taxes.tax_name as effect_key,
    'pod|' || taxes.document_id || '|' || taxes.category || ':' || taxes.rate_percent as cause,
    'customer_invoice'::text as aggregate_type,
    taxes.document_id as aggregate_id,
    policy.receivable_account as debit_account,
    taxes.tax_account as credit_account,
    taxes.currency,
    taxes.amount,
    taxes.currency as functional_currency,
    taxes.amount as functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    taxes.rate_rule_id as rule_id,
    taxes.rate_rule_version as rule_version,
    taxes.reason,
    taxes.correlation_id,
    jsonb_build_object(
        'kind', 'tax',
        'order_line', null,
        'order_number', ordered.order_number,
        'shipment_id', substr(taxes.shipment_id, 5),
        'customer_id', ordered.customer_id,
        'description',
        taxes.tax_name || ' ' || trim_scale(taxes.rate_percent) || ' % in ' || taxes.jurisdiction || ' on '
        || taxes.taxable_base,
        'ledger_account', taxes.tax_account,
        'invoice_on', taxes.invoice_on,
        'tax_jurisdiction', taxes.jurisdiction,
        'tax_name', taxes.tax_name,
        'tax_category', taxes.category,
        'tax_rate_percent', taxes.rate_percent::text,
        'taxable_base', taxes.taxable_base::text
    ) as attributes
from taxes
inner join {{ ref('sales_order') }} as ordered on ordered.order_id = taxes.order_id
cross join lateral {{ rule_in_force(
    'billing_policy', ['newest.receivable_account'],
    "newest.customer_id in (ordered.customer_id, '*')",
    "newest.customer_id <> '*' desc",
    "taxes.invoice_on", 'taxes.admitted_at'
) }} as policy
where taxes.amount > 0
