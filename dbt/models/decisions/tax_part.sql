{{ config(materialized='view', tags=['static', 'pod']) }}

-- A line is one part, or two where only what exceeds its cost is taxed, or as many as the goods that it follows have
-- treatments. Goods come first: what freight is depends on them.
with decided as (
    select
        line.*,
        goods.treatments as goods_treatments,
        goods.refused as goods_refused,
        rule.rule_id,
        rule.rule_version,
        rule.treatment as line_treatment,
        rule.category as line_category,
        rule.place as line_place,
        rule.rate_class as line_rate_class,
        rule.local_rates as line_local_rates,
        rule.reason_code as line_reason_code,
        rule.reason as line_reason,
        rule.missing,
        case
            when line.seller_country is null then 'no_seller'
            when rule.rule_id is null then 'no_rule'
            when rule.missing is not null then 'facts_missing'
            when rule.treatment = 'refused' then 'refused'
            when rule.treatment = 'as_goods' and (goods.treatments is null or goods.refused > 0) then 'goods_missing'
        end as refusal
    from {{ ref('tax_line') }} as line
    left join lateral (
        select
            jsonb_agg(
                jsonb_build_object(
                    'amount', treated.amount, 'before', treated.before, 'whole', treated.whole,
                    'treatment', treated.treatment, 'category', treated.category, 'place', treated.place,
                    'rate_class', treated.rate_class, 'local_rates', treated.local_rates,
                    'reason_code', treated.reason_code, 'reason', treated.reason
                )
            ) as treatments,
            sum(treated.refused) as refused,
            sum(treated.amount) filter (where treated.treatment in ('taxed', 'taxed_excess')) as taxed,
            sum(treated.amount) as whole
        from (
            select
                grouped.*,
                sum(grouped.amount) over (
                    order by
                        grouped.category, grouped.place, grouped.rate_class, grouped.treatment, grouped.local_rates,
                        grouped.reason_code, grouped.reason
                    rows between unbounded preceding and current row
                ) - grouped.amount as before,
                sum(grouped.amount) over () as whole
            from (
                select
                    thing.treatment,
                    thing.category,
                    thing.place,
                    thing.rate_class,
                    thing.local_rates,
                    thing.reason_code,
                    thing.reason,
                    sum(thing.amount) as amount,
                    count(thing.refusal) as refused
                from {{ ref('tax_goods') }} as thing
                where
                    line.kind <> 'goods'
                    and thing.document_id = line.document_id
                    and thing.supply_group = line.supply_group
                group by
                    thing.treatment, thing.category, thing.place, thing.rate_class, thing.local_rates,
                    thing.reason_code, thing.reason
            ) as grouped
        ) as treated
        where treated.whole <> 0
    ) as goods on true
    cross join lateral (
        select
            case
                when line.kind = 'goods' then line.facts
                -- what the goods are is not known while one of them is refused
                when goods.refused > 0 then line.facts
                else line.facts || jsonb_build_object(
                    'goods.taxability', case
                        when goods.treatments is null then 'no_goods'
                        when goods.taxed is null then 'none'
                        when goods.taxed = goods.whole then 'all'
                        else 'mixed'
                    end
                )
            end as facts
    ) as known
    left join lateral {{ tax_decision('line', 'known.facts') }} as rule on true
)

select
    decided.document_id,
    decided.line_id,
    part.part,
    decided.is_question,
    decided.supply_group,
    decided.kind,
    decided.currency,
    decided.tax_on,
    decided.known_at,
    decided.admitted_at,
    decided.correlation_id,
    decided.seller_id,
    decided.tax_account,
    decided.policy_rule_id,
    decided.ship_from_country,
    decided.ship_from_region,
    decided.ship_from_postal,
    decided.ship_to_country,
    decided.ship_to_region,
    decided.ship_to_postal,
    case part.place
        when 'ship_to' then decided.ship_to_country
        when 'ship_from' then decided.ship_from_country
        when 'customer' then decided.customer_country
        when 'seller' then decided.seller_country
    end as country,
    case part.place
        when 'ship_to' then decided.ship_to_region
        when 'ship_from' then decided.ship_from_region
        when 'customer' then decided.customer_region
        when 'seller' then decided.seller_region
    end as region,
    part.treatment,
    part.category,
    part.rate_class,
    part.local_rates,
    part.base::numeric(18, 2) as base,
    part.reason_code,
    decided.rule_id,
    decided.rule_version,
    decided.refusal,
    decided.missing,
    case decided.refusal
        when 'no_seller' then 'there is no seller ' || coalesce(decided.seller_id, '(none)') || ' on that day'
        when 'no_rule' then
            'no rule of the adapter for ' || coalesce(decided.seller_country, '?') || ' covers this line on '
            || decided.tax_on
        when 'facts_missing' then
            'not known: ' || array_to_string(decided.missing, ', ') || ' (needed by ' || decided.rule_id || ')'
        when 'goods_missing' then 'it follows its goods, and what they are is not decided'
        else part.reason
    end as reason
from decided
cross join lateral (
    select
        1 as part,
        decided.line_treatment as treatment,
        decided.line_category as category,
        decided.line_place as place,
        decided.line_rate_class as rate_class,
        decided.line_local_rates as local_rates,
        decided.line_reason_code as reason_code,
        decided.line_reason as reason,
        decided.amount as base
    where
        decided.refusal is not null or decided.line_treatment not in ('as_goods', 'taxed_excess')
    union all
    -- what exceeds the cost, and the cost itself where it is not nothing
    select
        excess.part,
        case excess.part when 1 then 'taxed' else 'not_taxed' end,
        case excess.part when 1 then decided.line_category else 'E' end,
        decided.line_place,
        case excess.part when 1 then decided.line_rate_class end,
        case excess.part when 1 then decided.line_local_rates else 'none' end,
        decided.line_reason_code,
        decided.line_reason || case excess.part when 1 then ' (the excess)' else ' (its cost)' end,
        case excess.part when 1 then decided.amount - decided.cost else decided.cost end
    from (values (1), (2)) as excess (part)
    where
        decided.refusal is null
        and decided.line_treatment = 'taxed_excess'
        and case excess.part when 1 then decided.amount - decided.cost else decided.cost end <> 0
    union all
    -- shares in proportion to the goods, by cumulative rounding: they sum to the line, each within a cent
    select
        (row_number() over (order by thing.before))::int,
        thing.treatment,
        thing.category,
        thing.place,
        thing.rate_class,
        thing.local_rates,
        thing.reason_code,
        decided.line_reason || ': ' || thing.reason,
        round(decided.amount * (thing.before + thing.amount) / thing.whole, 2)
        - round(decided.amount * thing.before / thing.whole, 2)
    from jsonb_to_recordset(decided.goods_treatments) as thing (
        amount numeric, before numeric, whole numeric, treatment text, category text, place text, rate_class text,
        local_rates text, reason_code text, reason text
    )
    where decided.refusal is null and decided.line_treatment = 'as_goods'
) as part
