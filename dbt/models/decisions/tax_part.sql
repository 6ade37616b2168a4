{{ config(materialized='view', tags=['static', 'pod']) }}

-- A line is one part, or two where only what exceeds its cost is taxed, or as many as the goods that it follows have
-- treatments. Goods come first: what freight is depends on them.
with treated as (
    select
        line.*,
        goods.rule_id as goods_rule_id,
        goods.rule_version as goods_rule_version,
        goods.treatment as goods_treatment,
        goods.category as goods_category,
        goods.place as goods_place,
        goods.rate_class as goods_rate_class,
        goods.local_rates as goods_local_rates,
        goods.reason_code as goods_reason_code,
        goods.reason as goods_reason,
        goods.missing as goods_missing,
        line.kind = 'goods' and (
            goods.rule_id is null or goods.missing is not null or goods.treatment = 'refused'
        ) as is_refused_goods
    from {{ ref('tax_line') }} as line
    left join lateral {{ tax_decision('line', 'line.facts', "line.kind = 'goods'") }} as goods on true
),

supplied as (
    select
        treated.*,
        count(*) filter (where treated.is_refused_goods) over supply as goods_refused,
        sum(treated.amount) filter (where treated.kind = 'goods') over supply as goods_whole,
        sum(treated.amount) filter (
            where treated.kind = 'goods' and treated.goods_treatment in ('taxed', 'taxed_excess')
        ) over supply as goods_taxed,
        jsonb_agg(
            jsonb_build_object(
                'amount', treated.amount, 'treatment', treated.goods_treatment, 'category', treated.goods_category,
                'place', treated.goods_place, 'rate_class', treated.goods_rate_class,
                'local_rates', treated.goods_local_rates, 'reason_code', treated.goods_reason_code,
                'reason', treated.goods_reason
            )
        ) filter (where treated.kind = 'goods') over supply as goods_lines
    from treated
    window supply as (partition by treated.document_id, treated.supply_group)
),

decided as (
    select
        line.*,
        coalesce(line.goods_rule_id, rule.rule_id) as rule_id,
        coalesce(line.goods_rule_version, rule.rule_version) as rule_version,
        coalesce(line.goods_treatment, rule.treatment) as line_treatment,
        coalesce(line.goods_category, rule.category) as line_category,
        coalesce(line.goods_place, rule.place) as line_place,
        coalesce(line.goods_rate_class, rule.rate_class) as line_rate_class,
        coalesce(line.goods_local_rates, rule.local_rates) as line_local_rates,
        coalesce(line.goods_reason_code, rule.reason_code) as line_reason_code,
        coalesce(line.goods_reason, rule.reason) as line_reason,
        coalesce(line.goods_missing, rule.missing) as missing,
        case
            when line.seller_country is null then 'no_seller'
            when coalesce(line.goods_rule_id, rule.rule_id) is null then 'no_rule'
            when coalesce(line.goods_missing, rule.missing) is not null then 'facts_missing'
            when coalesce(line.goods_treatment, rule.treatment) = 'refused' then 'refused'
            when rule.treatment = 'as_goods' and (coalesce(line.goods_whole, 0) = 0 or line.goods_refused > 0)
                then 'goods_missing'
        end as refusal
    from supplied as line
    cross join lateral (
        select
            -- what the goods are is not known while one of them is refused
            case
                when line.kind = 'goods' or line.goods_refused > 0 then line.facts
                else line.facts || jsonb_build_object(
                    'goods.taxability', case
                        when coalesce(line.goods_whole, 0) = 0 then 'no_goods'
                        when line.goods_taxed is null then 'none'
                        when line.goods_taxed = line.goods_whole then 'all'
                        else 'mixed'
                    end
                )
            end as facts
        from (select 1) as once
        offset 0
    ) as known
    left join lateral {{ tax_decision('line', 'known.facts', "line.kind <> 'goods'") }} as rule on true
)

select
    decided.document_id,
    decided.line_id,
    part.part,
    decided.is_question,
    decided.supply_group,
    decided.kind,
    decided.order_line,
    decided.description,
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
            'not known: ' || decided.missing || ' (needed by ' || decided.rule_id || ')'
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
        (row_number() over so_far)::int,
        thing.treatment,
        thing.category,
        thing.place,
        thing.rate_class,
        thing.local_rates,
        thing.reason_code,
        decided.line_reason || ': ' || thing.reason,
        round(decided.amount * sum(thing.amount) over so_far / decided.goods_whole, 2)
        - round(decided.amount * (sum(thing.amount) over so_far - thing.amount) / decided.goods_whole, 2)
    from (
        select
            one.treatment,
            one.category,
            one.place,
            one.rate_class,
            one.local_rates,
            one.reason_code,
            one.reason,
            sum(one.amount) as amount
        from jsonb_to_recordset(decided.goods_lines) as one (
            amount numeric, treatment text, category text, place text, rate_class text, local_rates text,
            reason_code text, reason text
        )
        where decided.refusal is null and decided.line_treatment = 'as_goods'
        group by
            one.treatment, one.category, one.place, one.rate_class, one.local_rates, one.reason_code, one.reason
    ) as thing
    window so_far as (
        order by
            thing.category, thing.place, thing.rate_class, thing.treatment, thing.local_rates, thing.reason_code,
            thing.reason
        rows between unbounded preceding and current row
    )
) as part
