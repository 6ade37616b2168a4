{{ config(materialized='view', tags=['static', 'pod']) }}

-- What is known of each line that tax is asked of: lines to be billed where a policy charges tax, and questions of the
-- port. Master data as it held when the ERP made the order's version, as billing has it; where none is so old, the
-- oldest.
with billed as (
    select
        line.customer_invoice_id as document_id,
        line.line_id,
        line.order_id || '|' || line.shipment_id as supply_group,
        false as is_question,
        line.kind,
        line.order_line,
        line.description,
        'separate'::text as stated,
        line.amount,
        case line.kind when 'freight' then line.freight_share end as cost,
        line.currency,
        line.invoice_on as tax_on,
        known.known_at,
        line.admitted_at,
        line.correlation_id,
        line.supply,
        line.seller_id,
        line.tax_account,
        line.tax_policy_rule_id as policy_rule_id,
        case line.kind when 'goods' then goods.tax_class else carried.tax_class end as tax_class,
        case when jsonb_exists(line.own_scacs, shipment.scac) then 'own' else 'common' end as carrier,
        'seller'::text as arranged_by,
        origin.country as ship_from_country,
        origin.state as ship_from_region,
        origin.postal_code as ship_from_postal,
        line.ship_to_country,
        line.ship_to_region,
        line.ship_to_postal,
        profile.country as customer_country,
        profile.region as customer_region,
        profile.status as customer_status,
        profile.tax_id as customer_tax_id,
        coalesce(profile.certificates, '[]'::jsonb) as certificates,
        coalesce(profile.attributes, '{}'::jsonb) as attributes
    from {{ ref('billable_line') }} as line
    inner join {{ ref('sales_order') }} as ordered on ordered.order_id = line.order_id
    inner join {{ ref('shipment') }} as shipment on shipment.shipment_id = line.shipment_id
    cross join lateral (select {{ tax_known('line.admitted_at') }} as known_at) as known
    left join lateral (
        select part.country, part.state, part.postal_code
        from {{ ref('stg_tms__shipment_plans') }} as plan
        cross join lateral jsonb_to_recordset(plan.stops) as part (
            sequence int, country text, state text, postal_code text
        )
        where plan.record_id = shipment.plan_record_id
        order by part.sequence
        limit 1
    ) as origin on true
    left join lateral (
        select version.country, version.region, version.status, version.tax_id, version.certificates, version.attributes
        from {{ ref('stg_erp__tax_profiles') }} as version
        where version.profile_id = 'customer:' || ordered.customer_id
        order by
            version.changed_at <= ordered.changed_at desc,
            case when version.changed_at <= ordered.changed_at then version.version end desc nulls last,
            version.version
        limit 1
    ) as profile on true
    left join {{ ref('sales_order_line') }} as order_line
        on order_line.order_id = line.order_id and order_line.line = line.order_line
    left join lateral (
        select version.tax_class
        from {{ ref('stg_erp__tax_profiles') }} as version
        where version.profile_id = 'item:' || order_line.item_id
        order by
            version.changed_at <= ordered.changed_at desc,
            case when version.changed_at <= ordered.changed_at then version.version end desc nulls last,
            version.version
        limit 1
    ) as goods on true
    -- freight: the one class of everything that is carried for the order
    left join lateral (
        select
            case
                when count(*) <> count(item.tax_class) then null
                when count(distinct item.tax_class) = 1 then min(item.tax_class)
                else 'mixed'
            end as tax_class
        from {{ ref('shipment_line') }} as moved
        inner join {{ ref('sales_order_line') }} as sold on sold.order_id = moved.order_id and sold.line = moved.line
        left join lateral (
            select version.tax_class
            from {{ ref('stg_erp__tax_profiles') }} as version
            where version.profile_id = 'item:' || sold.item_id
            order by
                version.changed_at <= ordered.changed_at desc,
                case when version.changed_at <= ordered.changed_at then version.version end desc nulls last,
                version.version
            limit 1
        ) as item on true
        where
            line.kind <> 'goods' and moved.order_id = line.order_id and moved.shipment_id = line.shipment_id
    ) as carried on true
    where line.is_taxed
),

asked as (
    select * from billed
    union all
    select
        question.document_id,
        question.line_id,
        question.document_id as supply_group,
        true as is_question,
        question.kind,
        null as order_line,
        null as description,
        question.stated,
        question.amount,
        question.cost,
        question.currency,
        question.tax_on,
        {{ tax_known('question.known_at') }} as known_at,
        question.known_at as admitted_at,
        null as correlation_id,
        question.supply,
        question.seller_id,
        null as tax_account,
        null as policy_rule_id,
        question.tax_class,
        question.carrier,
        question.arranged_by,
        question.ship_from_country,
        question.ship_from_region,
        question.ship_from_postal,
        question.ship_to_country,
        question.ship_to_region,
        question.ship_to_postal,
        question.customer_country,
        question.customer_region,
        question.customer_status,
        question.customer_tax_id,
        question.certificates,
        question.attributes
    from {{ source('ops', 'tax_question') }} as question
)

select
    asked.document_id,
    asked.line_id,
    asked.supply_group,
    asked.is_question,
    asked.kind,
    asked.order_line,
    asked.description,
    asked.amount,
    asked.cost,
    asked.currency,
    asked.tax_on,
    asked.known_at,
    asked.admitted_at,
    asked.correlation_id,
    asked.supply,
    asked.seller_id,
    asked.tax_account,
    asked.policy_rule_id,
    seller.country as seller_country,
    seller.region as seller_region,
    asked.customer_country,
    asked.customer_region,
    asked.ship_from_country,
    asked.ship_from_region,
    asked.ship_from_postal,
    asked.ship_to_country,
    asked.ship_to_region,
    asked.ship_to_postal,
    zone.seller as seller_zones,
    -- only where a rule has a threshold: amounts repeat less than situations
    case
        when asked.seller_id in (
            select large.seller_id
            from {{ source('rules', 'tax_seller') }} as large
            inner join {{ source('rules', 'tax_zone') }} as home on home.country = large.country
            inner join {{ source('rules', 'tax_rule') }} as measuring
                on measuring.adapter = home.zone and measuring.consideration_up_to is not null
        ) then asked.amount
    end as measured,
    known.facts
from asked
left join lateral (
    select version.country, version.region
    from {{ tax_versions('tax_seller', 'rule.seller_id = asked.seller_id', 'asked.tax_on', 'asked.known_at') }} as version
    order by version.rule_id
    limit 1
) as seller on true
-- what the seller declared at home, and whether it is registered where the goods go
left join lateral (
    select
        bool_or(
            version.country = asked.ship_to_country and version.region in ('*', asked.ship_to_region)
        ) is true as is_there,
        (
            select jsonb_object_agg('seller.' || attribute.key, attribute.value)
            from jsonb_each(
                (jsonb_agg(version.attributes) filter (where version.country = seller.country and version.region = '*'))
                -> 0
            ) as attribute
        ) as declared
    from {{ tax_versions(
        'tax_registration', 'rule.seller_id = asked.seller_id', 'asked.tax_on', 'asked.known_at'
    ) }} as version
) as registered on true
left join lateral (
    select
        {%- for place, country in [
            ('seller', 'seller.country'), ('ship_from', 'asked.ship_from_country'),
            ('ship_to', 'asked.ship_to_country'), ('customer', 'asked.customer_country')
        ] %}
        case
            when {{ country }} is not null
                then coalesce(jsonb_agg(distinct found.zone) filter (where found.country = {{ country }}), '[]'::jsonb)
        end as {{ place }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ tax_versions(
        'tax_zone',
        'rule.country in (seller.country, asked.ship_from_country, asked.ship_to_country, asked.customer_country)',
        'asked.tax_on', 'asked.known_at'
    ) }} as found
) as zone on true
left join lateral (
    select version.pattern
    from {{ tax_versions('tax_identifier', 'rule.country = asked.customer_country', 'asked.tax_on', 'asked.known_at') }}
        as version
    order by version.rule_id
    limit 1
) as identifier on true
left join lateral (
    select held.kind
    from jsonb_to_recordset(asked.certificates) as held (
        kind text, country text, region text, valid_from date, valid_to date
    )
    where
        held.country = asked.ship_to_country
        and coalesce(held.region, '*') in ('*', asked.ship_to_region)
        and asked.tax_on between coalesce(held.valid_from, '-infinity') and coalesce(held.valid_to, 'infinity')
    order by held.kind
    limit 1
) as certificate on true
left join lateral (
    select jsonb_object_agg('customer.' || attribute.key, attribute.value) as customer
    from jsonb_each(asked.attributes) as attribute
) as declared on true
-- computed once: without the offset the expression would stand wherever a fact is read
cross join lateral (
    select
        jsonb_strip_nulls(
            coalesce(declared.customer, '{}'::jsonb) || coalesce(registered.declared, '{}'::jsonb) || jsonb_build_object(
                'supply', asked.supply,
                'line.kind', asked.kind,
                'line.stated', asked.stated,
                'line.tax_class', asked.tax_class,
                'line.basis', case when asked.amount > asked.cost then 'marked_up' when asked.cost is not null then 'actual' end,
                'move.carrier', asked.carrier,
                'move.arranged_by', asked.arranged_by,
                'ship_from.country', asked.ship_from_country,
                'ship_from.region', asked.ship_from_region,
                'ship_from.zones', zone.ship_from,
                'ship_to.country', asked.ship_to_country,
                'ship_to.region', asked.ship_to_region,
                'ship_to.zones', zone.ship_to,
                'ship_to.is', {{ tax_nearness(
                    'asked.ship_from_country', 'asked.ship_from_region', 'asked.ship_to_country', 'asked.ship_to_region'
                ) }},
                'customer.country', asked.customer_country,
                'customer.region', asked.customer_region,
                'customer.zones', zone.customer,
                'customer.is', {{ tax_nearness(
                    'seller.country', 'seller.region', 'asked.customer_country', 'asked.customer_region'
                ) }},
                'customer.status', asked.customer_status,
                'customer.tax_id', case
                    when asked.customer_tax_id is null then 'absent'
                    when identifier.pattern is null then 'unchecked'
                    when replace(asked.customer_tax_id, ' ', '') ~ identifier.pattern then 'valid'
                    else 'malformed'
                end,
                'customer.certificate', case
                    when asked.certificates = '[]'::jsonb then 'none' else coalesce(certificate.kind, 'none')
                end,
                'seller.country', seller.country,
                'seller.region', seller.region,
                'seller.zones', zone.seller,
                'seller.registered', case when registered.is_there then 'yes' else 'no' end
            )
        ) as facts
    from (select 1) as once
    offset 0
) as known
