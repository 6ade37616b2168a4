{{ config(materialized='view', tags=['static', 'pod']) }}

-- Tax is rounded once for each invoice, jurisdiction, tax, category and rate, half up to cents, as EN 16931 has it
-- (BR-CO-17); the lines get it by cumulative rounding, so they sum to it and none is a cent or more off its exact tax.
with located as (
    select
        part.*,
        case
            when part.local_rates = 'ship_to' then part.ship_to_postal
            when part.local_rates = 'ship_from' then part.ship_from_postal
            when part.local_rates = 'origin_in_state' and part.ship_from_region = part.ship_to_region
                and part.ship_from_country = part.ship_to_country
                then part.ship_from_postal
            when part.local_rates = 'origin_in_state' then part.ship_to_postal
        end as local_postal
    from {{ ref('tax_part') }} as part
),

rated as (
    select
        located.*,
        general.rates as general_rates,
        local_rate.rates as local_rates_found,
        case
            when located.refusal is not null then located.refusal
            when located.treatment = 'taxed' and general.rates is null then 'no_rate'
            when located.treatment = 'reverse_charge' and located.rate_class is not null and general.rates is null
                then 'no_rate'
            when located.treatment = 'taxed' and located.local_rates <> 'none' and local_rate.rates is null
                then 'no_local_rate'
        end as refused
    from located
    left join lateral (
        select
            jsonb_agg(
                jsonb_build_object(
                    'tax_name', rate.tax_name, 'percent', rate.rate_percent, 'rule_id', rate.rule_id,
                    'version', rate.rule_version::text, 'place', concat_ws('-', located.country, located.region)
                ) order by rate.tax_name
            ) as rates
        from {{ tax_versions(
            'tax_rate', "rule.country = located.country and rule.region in ('*', coalesce(located.region, '*'))"
            ~ " and rule.rate_class = located.rate_class", 'located.tax_on', 'located.known_at'
        ) }} as rate
    ) as general on true
    -- the feed's: of each rate its newest version of the time when the tax was known, else the first that came
    left join lateral (
        select
            jsonb_agg(
                jsonb_build_object(
                    'tax_name', rate.jurisdiction, 'percent', rate.rate_percent, 'rule_id', rate.rate_id,
                    'version', rate.version::text,
                    'place', concat_ws('-', located.country, located.region, rate.jurisdiction)
                ) order by rate.jurisdiction
            ) as rates
        from (
            select distinct on (version.rate_id) version.*
            from {{ ref('stg_erp__tax_rates') }} as version
            where
                version.country = located.country
                and version.region = located.region
                and version.postal_code = located.local_postal
                and version.rate_class = located.rate_class
                and version.valid_from_on <= located.tax_on
            order by version.rate_id, version.version desc
        ) as rate
        where
            located.treatment = 'taxed'
            and located.local_rates <> 'none'
            and (rate.valid_to_on is null or located.tax_on <= rate.valid_to_on)
    ) as local_rate on true
),

taxes as (
    select
        rated.document_id,
        rated.line_id,
        rated.part,
        rated.is_question,
        rated.supply_group,
        rated.kind,
        rated.order_line,
        rated.description,
        rated.currency,
        rated.tax_on,
        rated.admitted_at,
        rated.correlation_id,
        rated.seller_id,
        rated.tax_account,
        rated.policy_rule_id,
        coalesce(tax.place, concat_ws('-', rated.country, rated.region)) as jurisdiction,
        tax.tax_name,
        rated.category,
        rated.treatment,
        coalesce(case when rated.treatment = 'taxed' then tax.percent end, 0)::numeric(7, 4) as rate_percent,
        rated.base as taxable_base,
        case rated.treatment when 'reverse_charge' then 'recipient' else 'supplier' end as payable_by,
        case when rated.treatment = 'reverse_charge' then tax.percent end::numeric(7, 4) as recipient_rate_percent,
        rated.reason_code,
        case rated.refused
            when 'no_rate' then
                'no ' || rated.rate_class || ' rate in ' || concat_ws('-', rated.country, rated.region) || ' on '
                || rated.tax_on
            when 'no_local_rate' then
                'no local rate for ' || coalesce(rated.local_postal, 'a postal code that is not known') || ' in '
                || concat_ws('-', rated.country, rated.region) || ' on ' || rated.tax_on
            else rated.reason
        end as reason,
        rated.rule_id,
        rated.rule_version,
        tax.rule_id as rate_rule_id,
        tax.version as rate_rule_version,
        rated.refused as refusal,
        rated.missing
    from rated
    left join lateral (
        select rate.*
        from jsonb_to_recordset(
            coalesce(rated.general_rates, '[]'::jsonb) || coalesce(rated.local_rates_found, '[]'::jsonb)
        ) as rate (tax_name text, percent numeric, rule_id text, version text, place text)
        where rated.refused is null and rated.treatment in ('taxed', 'reverse_charge')
    ) as tax on true
)

select
    taxes.*,
    (
        round(sum(taxes.taxable_base) over upto * taxes.rate_percent / 100, 2)
        - round((sum(taxes.taxable_base) over upto - taxes.taxable_base) * taxes.rate_percent / 100, 2)
    )::numeric(18, 2) as tax_amount
from taxes
window upto as (
    partition by taxes.document_id, taxes.jurisdiction, taxes.tax_name, taxes.category, taxes.rate_percent
    order by taxes.line_id, taxes.part
    rows between unbounded preceding and current row
)
