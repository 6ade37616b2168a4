{{ config(tags=['static', 'pod']) }}

-- The hot path: no build stands between a proof and its invoice. Everything hangs off one delivery by index.
with parts as (
    select
        line.*,
        proof.captured_at,
        proof.admitted_at,
        proof.correlation_id
    from {{ ref('billing_line') }} as line
    inner join {{ ref('shipment') }} as shipment
        on shipment.shipment_id = line.shipment_id and not shipment.is_cancelled
    -- one good proof is enough for ever: the first of them
    cross join lateral (
        select judged.captured_at, judged.admitted_at, judged.correlation_id
        from {{ ref('proof_judged') }} as judged
        where judged.shipment_id = line.shipment_id and judged.is_good
        order by judged.captured_at, judged.record_id
        limit 1
    ) as proof
    where
        line.amount > 0
        and (
            line.invoice_per = 'shipment'
            -- counted, not `not exists`: that could be hashed, which reads every proof there is
            or (
                select count(*)
                from {{ ref('delivery') }} as other
                inner join {{ ref('shipment') }} as waiting on waiting.shipment_id = other.shipment_id
                where
                    other.order_id = line.order_id
                    and other.is_current
                    and not waiting.is_cancelled
                    and (
                        select count(*)
                        from {{ ref('proof_judged') }} as judged
                        where judged.shipment_id = other.shipment_id and judged.is_good
                    ) = 0
            ) = 0
        )
),

ruled as (
    select
        parts.*,
        'invoice|' || parts.order_id || '|' || parts.shipment_id || '|'
        || case parts.kind when 'goods' then 'goods:' || parts.order_line else 'freight' end as effect_key,
        policy.receivable_account,
        case parts.kind when 'goods' then policy.goods_account else policy.freight_account end as revenue_account,
        policy.rule_id,
        policy.rule_version,
        correction.mode,
        -- counted, as above
        (
            select count(*)
            from {{ ref('stg_erp__sales_orders') }} as other
            where other.order_id = parts.order_id and other.customer_id <> parts.customer_id
        ) > 0 as had_another_customer
    from parts
    cross join lateral {{ rule_in_force(
        'billing_policy', ['newest.receivable_account', 'newest.goods_account', 'newest.freight_account'],
        "newest.customer_id in (parts.customer_id, '*')",
        "newest.customer_id <> '*' desc",
        "(parts.captured_at at time zone 'UTC')::date", 'parts.admitted_at'
    ) }} as policy
    left join lateral {{ rule_in_force(
        'correction_policy', ['newest.mode'],
        "newest.customer_id in (parts.customer_id, '*')",
        "newest.customer_id <> '*' desc",
        "(parts.captured_at at time zone 'UTC')::date", 'parts.admitted_at'
    ) }} as correction on true
),

-- billed anew when it changes: the content of the invoice is part of its cause, so that another content takes all of the
-- old one back and bills all of the new one, each as a document of its own
marked as (
    select
        ruled.*,
        case
            when ruled.mode = 'credit_and_rebill'
                then '|' || substr(md5(string_agg(
                    concat_ws(
                        '|', ruled.effect_key, ruled.customer_id, ruled.receivable_account, ruled.revenue_account,
                        ruled.currency, ruled.amount
                    ), E'\n'
                ) over (
                    partition by ruled.customer_invoice_id order by ruled.effect_key
                    rows between unbounded preceding and unbounded following
                )), 1, 8)
            -- no difference says that somebody else owes it
            when ruled.had_another_customer then '|' || ruled.customer_id
            else ''
        end as mark
    from ruled
)

select
    marked.effect_key,
    'pod|' || marked.customer_invoice_id || marked.mark as cause,
    'customer_invoice'::text as aggregate_type,
    marked.customer_invoice_id as aggregate_id,
    marked.receivable_account as debit_account,
    marked.revenue_account as credit_account,
    marked.currency,
    marked.amount,
    marked.currency as functional_currency,
    marked.amount as functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    marked.rule_id,
    marked.rule_version::text as rule_version,
    case marked.kind
        when 'goods' then 'delivered and proven'
        else 'share of planned freight by weight, ' || marked.freight_share || ' plus ' || marked.markup_percent || ' %'
    end as reason,
    marked.correlation_id,
    jsonb_build_object(
        'kind', marked.kind,
        'order_line', marked.order_line,
        'order_number', marked.order_number,
        'shipment_id', substr(marked.shipment_id, 5),
        'customer_id', marked.customer_id,
        'description', marked.description,
        'ledger_account', marked.revenue_account,
        'invoice_on', (marked.captured_at at time zone 'UTC')::date
    ) || case when marked.mark = '' then '{}'::jsonb else jsonb_build_object('document', substr(marked.mark, 2)) end as attributes
from marked
