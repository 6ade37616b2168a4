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
)

select
    'invoice|' || parts.order_id || '|' || parts.shipment_id || '|'
    || case parts.kind when 'goods' then 'goods:' || parts.order_line else 'freight' end as effect_key,
    'pod|' || parts.customer_invoice_id as cause,
    'customer_invoice'::text as aggregate_type,
    parts.customer_invoice_id as aggregate_id,
    policy.receivable_account as debit_account,
    case parts.kind when 'goods' then policy.goods_account else policy.freight_account end as credit_account,
    parts.currency,
    parts.amount,
    parts.currency as functional_currency,
    parts.amount as functional_amount,
    'erp'::text as target,
    'customer_invoice'::text as document_type,
    'hot'::text as lane,
    policy.rule_id,
    policy.rule_version::text as rule_version,
    case parts.kind
        when 'goods' then 'delivered and proven'
        else 'share of planned freight by weight, ' || parts.freight_share || ' plus ' || parts.markup_percent || ' %'
    end as reason,
    parts.correlation_id,
    jsonb_build_object(
        'kind', parts.kind,
        'order_line', parts.order_line,
        'order_number', parts.order_number,
        'shipment_id', substr(parts.shipment_id, 5),
        'customer_id', parts.customer_id,
        'description', parts.description,
        'ledger_account', case parts.kind when 'goods' then policy.goods_account else policy.freight_account end,
        'invoice_on', (parts.captured_at at time zone 'UTC')::date
    ) as attributes
from parts
cross join lateral {{ rule_in_force(
    'billing_policy', ['newest.receivable_account', 'newest.goods_account', 'newest.freight_account'],
    "newest.customer_id in (parts.customer_id, '*')",
    "newest.customer_id <> '*' desc",
    "(parts.captured_at at time zone 'UTC')::date", 'parts.admitted_at'
) }} as policy
