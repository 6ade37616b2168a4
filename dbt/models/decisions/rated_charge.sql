{{ config(materialized='view', tags=['static']) }}

-- everything that a charge is worked out from is kept in `rating`; its words are made when they are read
with rated as not materialized (
    select
        *,
        'contract ' || contract_id || ' version ' || contract_version as contract_rule,
        -- a minimum replaces what is left after the discount: then there is no discount to show
        is_discount_shown and discount_amount <> 0 and net_amount = gross_amount - discount_amount as shows_discount
    from {{ ref('rating') }}
    where reason is null
),

linehaul as (
    select
        shipment_id,
        side,
        'LINEHAUL'::text as charge_code,
        1 as sequence,
        case when shows_discount then gross_amount else net_amount end as amount,
        currency,
        to_jsonb(array_remove(
            array[contract_rule, 'rate ' || rate_id || ' version ' || rate_version, 'class table ' || class_rule, specificity_rule],
            null
        )) as rules,
        jsonb_strip_nulls(
            jsonb_build_object(
                'basis', basis, 'actual_lb', actual_lb, 'dim_lb', dim_lb, 'billable_lb', billable_lb,
                'miles', miles, 'pallets', pallets, 'freight_class', freight_class, 'density_pcf', density_pcf,
                'quantity', quantity, 'rate', rate, 'minimum', minimum_charge, 'discount_percent', discount_percent
            )
        ) as inputs,
        concat_ws(
            '; ',
            case
                when class_rule is not null
                    then {{ plain('actual_lb') }} || ' lb ÷ ' || {{ plain('cube_ft3') }} || ' ft³ = '
                        || {{ plain('density_pcf') }} || ' lb/ft³, class ' || {{ plain('actual_class') }}
            end,
            case
                when freight_class <> actual_class
                    then 'class ' || {{ plain('freight_class') }} || ' for class ' || {{ plain('actual_class') }}
                        || ' (freight of all kinds)'
            end,
            case
                when basis not in ('per_cwt', 'per_lb_dim') or billable_lb = actual_lb then null
                when billable_lb = dim_lb
                    then {{ plain('actual_lb') }} || ' lb → dimensional ' || {{ plain('dim_lb') }} || ' lb'
                else coalesce({{ plain('actual_lb') }} || ' lb → ', '') || {{ plain('billable_lb') }} || ' lb billed'
            end,
            case basis
                when 'flat' then 'flat ' || own_amount
                else {{ quantity_words('basis', 'quantity') }} || ' × ' || {{ plain('rate') }} || ' = ' || own_amount
            end,
            case
                when deficit_lb is not null
                    then 'cheaper as ' || {{ plain('deficit_lb') }} || ' lb: '
                        || case basis
                            when 'per_cwt' then {{ plain('deficit_lb / 100') }} || ' cwt'
                            else {{ plain('deficit_lb') }} || ' lb'
                        end
                        || ' × ' || {{ plain('deficit_rate') }} || ' = ' || gross_amount
            end,
            case
                when discount_amount <> 0 and not shows_discount
                    then 'less ' || {{ plain('discount_percent') }} || ' % = ' || discount_amount || ' → '
                        || (gross_amount - discount_amount)
            end,
            case when minimum_charge > gross_amount - discount_amount then 'minimum ' || minimum_charge || ' applies' end
        ) as arithmetic
    from rated
),

discount as (
    select
        shipment_id,
        side,
        'DISCOUNT'::text as charge_code,
        2 as sequence,
        -discount_amount as amount,
        currency,
        jsonb_build_array(contract_rule, 'rate ' || rate_id || ' version ' || rate_version) as rules,
        jsonb_build_object('discount_percent', discount_percent, 'of', gross_amount) as inputs,
        {{ plain('discount_percent') }} || ' % of ' || gross_amount || ' = ' || discount_amount || ', taken off' as arithmetic
    from rated
    where shows_discount
),

fuel as (
    select
        shipment_id,
        side,
        'FUEL'::text as charge_code,
        3 as sequence,
        fuel_amount as amount,
        currency,
        jsonb_build_array(
            contract_rule,
            'fuel table ' || fuel_table || ' version ' || fuel_table_version,
            fuel_index || ' ' || fuel_region || ' week of ' || fuel_week_on || ' published '
            || to_char(fuel_published_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"')
        ) as rules,
        jsonb_strip_nulls(
            jsonb_build_object(
                'price', fuel_price, 'week_on', fuel_week_on, 'published_at', fuel_published_at, 'value', fuel_value,
                'kind', fuel_kind, 'miles', case when fuel_kind = 'fuel_per_mile' then miles end
            )
        ) as inputs,
        fuel_index || ' ' || fuel_region || ' ' || {{ plain('fuel_price') }} || ' in the week of ' || fuel_week_on || '; '
        || case fuel_kind
            when 'fuel_per_mile' then {{ plain('miles') }} || ' miles × ' || {{ plain('fuel_value') }}
            else
                {{ plain('fuel_value') }} || ' % of ' || case fuel_on
                    when 'gross_linehaul' then gross_amount || ' before discount'
                    else net_amount::text
                end
        end || ' = ' || fuel_amount as arithmetic
    from rated
    where fuel_table is not null
),

service as (
    select
        rated.shipment_id,
        rated.side,
        rated.currency,
        rated.contract_rule,
        rated.net_amount,
        rated.minor_digits,
        rated.rounding,
        part.*,
        case part.schedule ->> 'basis'
            when 'flat' then 1
            when 'per_cwt' then rated.billable_lb / 100
            when 'per_mile' then rated.miles
            when 'per_pallet' then rated.pallets
            when 'percent_of_linehaul' then rated.net_amount / 100
            else (part.schedule ->> 'quantity')::numeric
        end as quantity,
        part.schedule ->> 'basis' as basis,
        (part.schedule ->> 'rate')::numeric as rate,
        (part.schedule ->> 'free_units')::numeric as free_units,
        (part.schedule ->> 'minimum_charge')::numeric as minimum_charge,
        (part.schedule ->> 'maximum_charge')::numeric as maximum_charge
    from rated
    cross join lateral jsonb_array_elements(rated.schedules) with ordinality as part (schedule, number)
),

counted as (
    select
        service.*,
        -- nothing is free of a flat fee or a percentage
        case
            when service.basis in ('flat', 'percent_of_linehaul') then service.quantity
            else greatest(service.quantity - service.free_units, 0)
        end as charged,
        {{ rounded(
            "case when service.basis in ('flat', 'percent_of_linehaul') then service.quantity"
            ~ " else greatest(service.quantity - service.free_units, 0) end * service.rate",
            'service.minor_digits', 'service.rounding'
        ) }} as own_amount
    from service
),

accessorial as (
    select
        shipment_id,
        side,
        schedule ->> 'charge_code' as charge_code,
        3 + number::int as sequence,
        -- within what is free nothing is owed, no minimum either
        case
            when charged = 0 then 0
            else least(greatest(own_amount, minimum_charge), maximum_charge)
        end as amount,
        currency,
        jsonb_build_array(
            contract_rule, 'accessorial ' || (schedule ->> 'accessorial_id') || ' version ' || (schedule ->> 'version')
        ) as rules,
        jsonb_strip_nulls(
            jsonb_build_object(
                'basis', basis, 'quantity', quantity, 'free_units', nullif(free_units, 0), 'rate', rate,
                'minimum', minimum_charge, 'maximum', maximum_charge
            )
        ) as inputs,
        concat_ws(
            '; ',
            case
                when basis = 'flat' then 'flat ' || own_amount
                when basis = 'percent_of_linehaul'
                    then {{ plain('rate') }} || ' % of ' || net_amount || ' = ' || own_amount
                when free_units > 0
                    then {{ quantity_words('basis', 'quantity') }} || ' less ' || {{ plain('free_units') }} || ' free = '
                        || {{ plain('charged') }} || '; ' || {{ plain('charged') }} || ' × ' || {{ plain('rate') }} || ' = '
                        || own_amount
                else {{ quantity_words('basis', 'quantity') }} || ' × ' || {{ plain('rate') }} || ' = ' || own_amount
            end,
            case when charged > 0 and minimum_charge > own_amount then 'minimum ' || minimum_charge || ' applies' end,
            case
                when charged > 0 and maximum_charge < greatest(own_amount, minimum_charge)
                    then 'maximum ' || maximum_charge || ' applies'
            end
        ) as arithmetic
    from counted
),

charges as (
    {%- for part in ['linehaul', 'discount', 'fuel', 'accessorial'] %}
    {{ 'union all' if not loop.first }}
    select shipment_id, side, charge_code, sequence, amount, currency, rules, inputs, arithmetic
    from {{ part }}
    {%- endfor %}
)

select
    shipment_id,
    side,
    charge_code,
    sequence,
    amount::numeric(18, 2) as amount,
    currency,
    rules,
    inputs,
    arithmetic
from charges
