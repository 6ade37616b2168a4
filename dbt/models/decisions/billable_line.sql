{{ config(materialized='view', tags=['static', 'pod']) }}

-- The hot path: no build stands between a proof and its invoice. Everything hangs off one delivery by index.
select
    line.*,
    line.order_id || '|' || line.shipment_id || '|'
    || case line.kind when 'goods' then 'goods:' || line.order_line else 'freight' end as line_id,
    proof.captured_at,
    (proof.captured_at at time zone 'UTC')::date as invoice_on,
    proof.admitted_at,
    proof.correlation_id,
    coalesce(policy.is_charged, false) as is_taxed,
    policy.rule_id as tax_policy_rule_id,
    policy.seller_id,
    policy.supply,
    policy.tax_account,
    policy.own_scacs,
    destination.country as ship_to_country,
    destination.state as ship_to_region,
    destination.postal_code as ship_to_postal
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
inner join {{ ref('sales_order') }} as ordered on ordered.order_id = line.order_id
-- who is billed and whither, where any policy charges tax at all; as they were when the order's version was made
left join lateral (
    select version.billing_entity
    from {{ ref('stg_erp__customers') }} as version
    where
        version.customer_id = ordered.customer_id
        and {{ any_tax_charged() }}
    order by
        version.changed_at <= ordered.changed_at desc,
        case when version.changed_at <= ordered.changed_at then version.version end desc nulls last,
        version.version
    limit 1
) as customer on true
left join lateral (
    select version.country, version.state, version.postal_code
    from {{ ref('stg_erp__ship_tos') }} as version
    where
        version.ship_to_id = ordered.ship_to_id
        and {{ any_tax_charged() }}
    order by
        version.changed_at <= ordered.changed_at desc,
        case when version.changed_at <= ordered.changed_at then version.version end desc nulls last,
        version.version
    limit 1
) as destination on true
left join lateral (
    select chosen.*
    from {{ tax_versions(
        'tax_policy',
        "rule.billing_entity in (customer.billing_entity, '*') and rule.country in (destination.country, '*')"
        ~ " and " ~ any_tax_charged(),
        "(proof.captured_at at time zone 'UTC')::date", 'proof.admitted_at'
    ) }} as chosen
    order by chosen.billing_entity <> '*' desc, chosen.country <> '*' desc, chosen.rule_id
    limit 1
) as policy on true
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
