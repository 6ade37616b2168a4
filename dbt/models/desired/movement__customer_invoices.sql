{{ config(tags=['static', 'pod']) }}

-- Tax is asked for only where some policy charges it (one look at a small table). An invoice of which a line's tax can't
-- be said is not made at all; billing_hold says why. Each tax of a part gives what it takes, the first of them the part itself; a line's rate is the sum over its taxes
with taxed as (
    select
        tax.*,
        count(tax.refusal) over (partition by tax.document_id) as refused,
        sum(tax.rate_percent) over (partition by tax.document_id, tax.line_id, tax.part) as line_rate_percent,
        row_number() over (
            partition by tax.document_id, tax.line_id, tax.part order by tax.jurisdiction, tax.tax_name
        ) = 1 as is_first
    from {{ ref('billing_tax') }} as tax
    where
        not tax.is_question
        and {{ any_tax_charged() }}
),

entries as (
    select
        taxed.document_id,
        entry.name,
        entry.category,
        entry.rate_percent,
        entry.kind,
        sum(entry.amount)::numeric(18, 2) as amount,
        sum(taxed.taxable_base) as taxable_base,
        min(taxed.order_line) as order_line,
        min(taxed.description) as description,
        min(taxed.currency) as currency,
        min(split_part(taxed.supply_group, '|', 1)) as order_id,
        min(split_part(taxed.supply_group, '|', 2)) as shipment_id,
        max(taxed.tax_on) as invoice_on,
        max(taxed.admitted_at) as admitted_at,
        min(taxed.correlation_id) as correlation_id,
        min(taxed.tax_account) as tax_account,
        min(taxed.seller_id) as seller_id,
        min(entry.rule_id) as rule_id,
        max(entry.rule_version) as rule_version,
        min(taxed.jurisdiction) as jurisdiction,
        min(taxed.tax_name) as tax_name,
        min(taxed.reason_code) as reason_code,
        min(taxed.reason) as reason
    from taxed
    cross join lateral (
        values
        (
            taxed.kind, taxed.line_id, taxed.line_rate_percent, null::text, null::text,
            case when taxed.is_first then taxed.taxable_base end, taxed.category
        ),
        (
            'tax',
            split_part(taxed.supply_group, '|', 1) || '|'
            || case taxed.document_id
                when split_part(taxed.supply_group, '|', 1) then '' else split_part(taxed.supply_group, '|', 2)
            end
            || '|tax:' || taxed.jurisdiction || ':' || taxed.tax_name,
            taxed.rate_percent, taxed.rate_rule_id, taxed.rate_rule_version, nullif(taxed.tax_amount, 0),
            taxed.category
        )
    ) as entry (kind, name, rate_percent, rule_id, rule_version, amount, category)
    where taxed.refused = 0 and entry.amount is not null
    group by taxed.document_id, entry.kind, entry.name, entry.category, entry.rate_percent
),

lines as (
    select
        line.line_id as name,
        '' as cause,
        line.customer_invoice_id as document_id,
        line.order_id,
        line.shipment_id,
        line.kind,
        line.order_line,
        line.description,
        line.amount,
        line.currency,
        line.invoice_on,
        line.admitted_at,
        line.correlation_id,
        null as tax_account,
        null as rule_id,
        null as rule_version,
        null as tax_reason,
        '{}'::jsonb as tax_attributes
    from {{ ref('billable_line') }} as line
    where not line.is_taxed
    union all
    select
        entries.name,
        '|' || entries.category || ':' || entries.rate_percent,
        entries.document_id,
        entries.order_id,
        entries.shipment_id,
        entries.kind,
        entries.order_line,
        case
            when entries.kind = 'tax'
                then
                    entries.tax_name || ' ' || trim_scale(entries.rate_percent) || ' % in ' || entries.jurisdiction
                    || ' on ' || entries.taxable_base
            else entries.description
        end,
        entries.amount,
        entries.currency,
        entries.invoice_on,
        entries.admitted_at,
        entries.correlation_id,
        entries.tax_account,
        entries.rule_id,
        entries.rule_version,
        entries.reason,
        jsonb_build_object(
            'tax_category', entries.category, 'tax_rate_percent', entries.rate_percent::text,
            'seller_id', entries.seller_id
        )
        || case
            when entries.kind = 'tax'
                then
                    jsonb_build_object(
                        'tax_jurisdiction', entries.jurisdiction, 'tax_name', entries.tax_name,
                        'taxable_base', entries.taxable_base::text
                    )
            else jsonb_build_object('tax_reason_code', entries.reason_code, 'tax_reason', entries.reason)
        end
    from entries
    where entries.amount > 0
)

select
    'invoice|' || lines.name as effect_key,
    'pod|' || lines.document_id || lines.cause as cause,
    'customer_invoice'::text as aggregate_type,
    lines.document_id as aggregate_id,
    policy.receivable_account as debit_account,
    credited.account as credit_account,
    lines.currency,
    lines.amount,
    lines.currency as functional_currency,
    lines.amount as functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    coalesce(lines.rule_id, policy.rule_id) as rule_id,
    coalesce(lines.rule_version, policy.rule_version::text) as rule_version,
    case lines.kind
        when 'goods' then 'delivered and proven'
        when 'freight'
            then
                'share of planned freight by weight, ' || delivery.freight_share || ' plus ' || ordered.markup_percent
                || ' %'
        else lines.description
    end || coalesce('; ' || lines.tax_reason, '') as reason,
    lines.correlation_id,
    jsonb_build_object(
        'kind', lines.kind,
        'order_line', lines.order_line,
        'order_number', ordered.order_number,
        'shipment_id', substr(lines.shipment_id, 5),
        'customer_id', ordered.customer_id,
        'description', lines.description,
        'ledger_account', credited.account,
        'invoice_on', lines.invoice_on
    ) || lines.tax_attributes as attributes
from lines
inner join {{ ref('sales_order') }} as ordered on ordered.order_id = lines.order_id
inner join {{ ref('delivery') }} as delivery
    on delivery.shipment_id = lines.shipment_id and delivery.order_id = lines.order_id
cross join lateral {{ rule_in_force(
    'billing_policy', ['newest.receivable_account', 'newest.goods_account', 'newest.freight_account'],
    "newest.customer_id in (ordered.customer_id, '*')",
    "newest.customer_id <> '*' desc",
    "lines.invoice_on", 'lines.admitted_at'
) }} as policy
cross join lateral (
    select
        case lines.kind
            when 'goods' then policy.goods_account when 'tax' then lines.tax_account else policy.freight_account
        end as account
) as credited
