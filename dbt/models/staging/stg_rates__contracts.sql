with admitted as ({{ admitted_rates('rate_contract', 'rates.contract') }}),

renamed as (
    select
        record_id,
        correlation_id,
        contract_id,
        version,
        side,
        case side when 'buy' then scac else customer_id end as party,
        mode,
        rate_currency as currency,
        case
            when rate_currency in (
                'BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'
            ) then 0
            else 2
        end as minor_digits,
        class_table,
        fak_class,
        fak_from_class,
        fak_to_class,
        minimum_charge,
        discount_percent,
        coalesce(discount_as_line, false) as is_discount_shown,
        coalesce(deficit_weight, false) as has_deficit_weight,
        dim_divisor,
        dim_per,
        weight_increment_lb,
        fuel_table,
        fuel_index,
        fuel_region,
        fuel_weekday,
        coalesce(fuel_lag_weeks, 0) as fuel_lag_weeks,
        coalesce(fuel_on, 'net_linehaul') as fuel_on,
        coalesce(rounding, 'half_up') as rounding,
        valid_from,
        valid_to,
        recorded_at
    from admitted
)

select * from renamed
