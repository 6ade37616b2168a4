{{ config(tags=['static', 'pod']) }}

-- The hot path: no build stands between a proof and its invoice. Everything hangs off one delivery by index.
-- Tax is asked for only where some policy charges it (one look at a small table). Each tax of a part gives what it
-- takes, the first of them the part itself; a line's rate is the sum over its taxes.
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

-- of a document that can't be taxed one row is left, which says so
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
            case when taxed.refused = 0 and taxed.is_first then taxed.taxable_base end, taxed.category
        ),
        (
            'tax',
            split_part(taxed.supply_group, '|', 1) || '|'
            || case taxed.document_id
                when split_part(taxed.supply_group, '|', 1) then '' else split_part(taxed.supply_group, '|', 2)
            end
            || '|tax:' || taxed.jurisdiction || ':' || taxed.tax_name,
            taxed.rate_percent, taxed.rate_rule_id, taxed.rate_rule_version,
            case when taxed.refused = 0 then nullif(taxed.tax_amount, 0) end,
            taxed.category
        ),
        (
            'refused', 'refused', null, null, null,
            case when taxed.refused > 0 then 1.00 end, null
        )
    ) as entry (kind, name, rate_percent, rule_id, rule_version, amount, category)
    where entry.amount is not null
    group by taxed.document_id, entry.kind, entry.name, entry.category, entry.rate_percent
),

lines as (
    select
        line.line_id as name,
        '' as tax_cause,
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
        null as tax_rule_id,
        null as tax_rule_version,
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
),

ruled as (
    select
        lines.*,
        'invoice|' || lines.name as effect_key,
        ordered.order_number,
        ordered.customer_id,
        ordered.markup_percent,
        delivery.freight_share,
        policy.receivable_account,
        case lines.kind
            when 'goods' then policy.goods_account when 'tax' then lines.tax_account else policy.freight_account
        end as credited_account,
        coalesce(lines.tax_rule_id, policy.rule_id) as rule_id,
        coalesce(lines.tax_rule_version, policy.rule_version::text) as rule_version,
        correction.mode,
        lines.invoice_on as rate_on,
        lines.admitted_at as known_at,
        coalesce(books.functional_currency, lines.currency) as functional_currency,
        books.rate_source,
        books.rate_max_age_days,
        -- counted, not `exists`: that could be hashed, which reads every order there is
        (
            select count(*)
            from {{ ref('stg_erp__sales_orders') }} as other
            where other.order_id = lines.order_id and other.customer_id <> ordered.customer_id
        ) > 0 as had_another_customer
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
    -- whose books it is in; what is billed in their currency asks for no rate
    left join lateral {{ rule_in_force(
        'currency_policy', ['newest.functional_currency', 'newest.rate_source', 'newest.rate_max_age_days'],
        "newest.business_unit in (ordered.business_unit, '*')",
        "newest.business_unit <> '*' desc",
        "lines.invoice_on", 'lines.admitted_at'
    ) }} as books on true
    left join lateral {{ rule_in_force(
        'correction_policy', ['newest.mode'],
        "newest.customer_id in (ordered.customer_id, '*')",
        "newest.customer_id <> '*' desc",
        "lines.invoice_on", 'lines.admitted_at'
    ) }} as correction on true
),

-- at the rate of its day, as known when it was proven; without one nothing can be posted of the document
translated as (
    select
        ruled.*,
        {{ functional_amount('ruled.amount', 'ruled.currency', 'ruled.functional_currency', 'published.rate') }}
        ::numeric(18, 2) as functional_amount,
        ruled.kind = 'refused' or (ruled.currency <> ruled.functional_currency and published.rate is null) as is_refused
    from ruled
    left join lateral {{ exchange_rate_of('ruled') }} as published on true
),

-- Billed anew when it changes: the content of the invoice is part of its cause, so that another content takes all of
-- the old one back and bills all of the new one, each as a document of its own. Tax is content. The mode is one for the
-- document, or half of it would stay: the invoice is billed anew if one of its lines asks for it.
marked as (
    select
        translated.*,
        count(*) filter (where translated.is_refused) over document as refused,
        translated.is_refused and row_number() over (
            partition by translated.document_id, translated.is_refused
            order by translated.effect_key, translated.tax_cause
        ) = 1 as speaks_for_document,
        case
            when bool_or(translated.mode = 'credit_and_rebill') over document
                then '|' || substr(md5(string_agg(
                    concat_ws(
                        '|', translated.effect_key || translated.tax_cause, translated.customer_id,
                        translated.receivable_account, translated.credited_account, translated.currency, translated.amount
                    ), E'\n'
                ) over document), 1, 8)
            -- no difference says that somebody else owes it
            when translated.had_another_customer then '|' || translated.customer_id
            else ''
        end as mark
    from translated
    window document as (
        partition by translated.document_id order by translated.effect_key, translated.tax_cause
        rows between unbounded preceding and unbounded following
    )
)

-- Of a document that can't be taxed or translated nothing is made; what was billed of it stays as the log has it until it
-- can: a tax or a rate that isn't known is no reason to take an invoice back.
select
    wanted.effect_key,
    wanted.cause,
    'customer_invoice'::text as aggregate_type,
    marked.document_id as aggregate_id,
    wanted.debit_account,
    wanted.credit_account,
    wanted.currency,
    wanted.amount,
    wanted.functional_currency,
    wanted.functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    wanted.rule_id,
    wanted.rule_version,
    wanted.reason,
    wanted.correlation_id,
    wanted.attributes
from marked
cross join lateral (
    select
        marked.effect_key,
        'pod|' || marked.document_id || marked.tax_cause || marked.mark as cause,
        marked.receivable_account as debit_account,
        marked.credited_account as credit_account,
        marked.currency,
        marked.amount,
        marked.functional_currency,
        marked.functional_amount,
        marked.rule_id,
        marked.rule_version,
        case marked.kind
            when 'goods' then 'delivered and proven'
            when 'freight'
                then
                    'share of planned freight by weight, ' || marked.freight_share || ' plus ' || marked.markup_percent
                    || ' %'
            else marked.description
        end || coalesce('; ' || marked.tax_reason, '') as reason,
        marked.correlation_id,
        jsonb_build_object(
            'kind', marked.kind,
            'order_line', marked.order_line,
            'order_number', marked.order_number,
            'shipment_id', substr(marked.shipment_id, 5),
            'customer_id', marked.customer_id,
            'description', marked.description,
            'ledger_account', marked.credited_account,
            'invoice_on', marked.invoice_on
        )
        || marked.tax_attributes
        || case when marked.mark = '' then '{}'::jsonb else jsonb_build_object('document', substr(marked.mark, 2)) end
        as attributes
    where marked.refused = 0
    union all
    select
        made.effect_key,
        made.cause,
        made.debit_account,
        made.credit_account,
        made.currency,
        made.amount::numeric(18, 2),
        made.functional_currency,
        made.functional_amount::numeric(18, 2),
        newest.rule_id,
        newest.rule_version,
        newest.reason,
        newest.correlation_id,
        newest.attributes
    from {{ source('effects', 'movement_by_key') }} as made
    cross join lateral (
        select movement.rule_id, movement.rule_version, movement.reason, movement.correlation_id, movement.attributes
        from {{ source('effects', 'movement') }} as movement
        where
            movement.aggregate_id = made.aggregate_id
            and movement.relation = made.relation
            and movement.aggregate_type = made.aggregate_type
            and movement.effect_key = made.effect_key
            and movement.cause = made.cause
        order by movement.movement_id desc
        limit 1
    ) as newest
    where
        marked.speaks_for_document
        and made.aggregate_id = marked.document_id
        and made.relation = 'movement__customer_invoices'
        and made.aggregate_type = 'customer_invoice'
        and made.amount > 0
) as wanted
