{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'side'],
    tags=['rating'],
    indexes=[{'columns': ['changed_in_run']}],
    pre_hook="{{ '' if is_scoped() else 'set local enable_nestloop = off' }}",
    post_hook="{{ '' if is_scoped() else 'analyze ' ~ this }}",
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

{%- set origin = ['contract_id', 'origin_country', 'origin_state', 'origin_postal'] -%}
{%- set destination = ['contract_id', 'destination_country', 'destination_state', 'destination_postal'] -%}
{%- set lane = origin + destination[1:] + ['equipment', 'freight_class', 'day_number', 'moment_number'] %}

with changes as materialized (
    select
        epoch.contract_id,
        array(
            select day
            from unnest(epoch.days || rules.days) as day
            group by day
            order by day
        ) as days,
        array(
            select moment
            from unnest(epoch.moments || rules.moments) as moment
            group by moment
            order by moment
        ) as moments
    from {{ ref('rate_epoch') }} as epoch
    cross join (
        select
            {{ days_of_change(ref('lane_specificity')) }} as days,
            {{ moments_of_change(ref('lane_specificity')) }} as moments
    ) as rules
),

asked as materialized (
    select
        one.shipment_id,
        one.side,
        {{ lane | join(',\n        ') }},
        {{ question(lane) }} as lane_question
    from (
        select
            request.shipment_id,
            request.side,
            request.contract_id,
            request.origin_country,
            request.origin_state,
            request.origin_postal,
            request.destination_country,
            request.destination_state,
            request.destination_postal,
            request.equipment,
            request.freight_class,
            width_bucket(request.ship_on, changes.days) as day_number,
            width_bucket(request.known_at, changes.moments) as moment_number
        from {{ ref('rating_request') }} as request
        inner join changes on changes.contract_id = request.contract_id
        where
            request.reason is null
            and {{ in_scope('request.shipment_id', ref('scope_rate_shipments'), 'shipment') }}
        offset 0
    ) as one
),

-- millions of shipments ask few thousand questions
lane_questions as materialized (
    select
        one.*,
        {{ change('one.day_number', 'changes.days') }} as on_day,
        {{ change('one.moment_number', 'changes.moments') }} as at_moment,
        {{ question(origin) | replace('contract_id', 'one.contract_id') }} as origin_question,
        {{ question(destination) | replace('contract_id', 'one.contract_id') }} as destination_question
    from (
        select
            lane_question
            {%- for name in lane %},
            any_value({{ name }}) as {{ name }}
            {%- endfor %}
        from asked
        group by lane_question
    ) as one
    inner join changes on changes.contract_id = one.contract_id
),
{% for part in ['origin', 'destination'] %}
{{ part }}_places as materialized (
    select
        place.question,
        shape.kind,
        shape.prefix_length,
        case shape.kind
            when 'postal' then 'postal:' || place.country || ':' || left(place.postal, shape.prefix_length)
            when 'state' then 'state:' || place.country || ':' || place.state
            when 'country' then 'country:' || place.country
            else 'any'
        end as place_key,
        '-infinity'::date as valid_from,
        'infinity'::date as valid_to,
        '-infinity'::timestamptz as known_from,
        'infinity'::timestamptz as known_to
    from (
        select distinct
            contract_id,
            {{ part }}_country as country,
            {{ part }}_state as state,
            {{ part }}_postal as postal,
            {{ part }}_question as question
        from lane_questions
    ) as place
    inner join {{ ref('rate_shape') }} as shape
        on shape.contract_id = place.contract_id and shape.part = '{{ part }}' and shape.kind <> 'zone'
        and shape.prefix_length <= coalesce(length(place.postal), 0)
    union all
    select
        place.question,
        shape.kind,
        shape.prefix_length,
        'zone:' || zone.zone,
        zone.valid_from,
        zone.valid_to,
        zone.known_from,
        zone.known_to
    from (
        select distinct
            contract_id,
            {{ part }}_country as country,
            {{ part }}_postal as postal,
            {{ part }}_question as question
        from lane_questions
    ) as place
    inner join {{ ref('rate_shape') }} as shape
        on shape.contract_id = place.contract_id and shape.part = '{{ part }}' and shape.kind = 'zone'
        and shape.prefix_length <= length(place.postal)
    inner join {{ ref('rate_zone') }} as zone
        on zone.contract_id = place.contract_id and zone.country = place.country
        and zone.postal_prefix = left(place.postal, shape.prefix_length)
),
{% endfor %}
-- by one column each: the planner thinks that several columns together match nothing
lanes_between as (
    select
        questions.lane_question,
        questions.equipment,
        questions.freight_class,
        questions.on_day,
        questions.at_moment,
        origin.kind as origin_kind,
        destination.kind as destination_kind,
        origin.prefix_length as origin_length,
        destination.prefix_length as destination_length,
        {{ question(['questions.contract_id', 'origin.place_key', 'destination.place_key']) }} as lane_key,
        greatest(origin.known_from, destination.known_from) as known_from,
        least(origin.known_to, destination.known_to) as known_to
    from lane_questions as questions
    inner join origin_places as origin
        on origin.question = questions.origin_question
        and questions.on_day between origin.valid_from and origin.valid_to
    inner join destination_places as destination
        on destination.question = questions.destination_question
        and questions.on_day between destination.valid_from and destination.valid_to
),

lane_ranked as (
    select
        between_them.lane_question,
        lane.rate_id,
        lane.version,
        lane.known_from,
        specific.rule_id,
        fits.since,
        rank() over (
            partition by between_them.lane_question
            order by
                fits.since,
                specific.points desc,
                between_them.origin_length desc,
                between_them.destination_length desc,
                lane.equipment <> '*' desc,
                lane.freight_class is not null desc
        ) as place
    from lanes_between as between_them
    inner join {{ ref('rate_lane') }} as lane
        on lane.lane_key = between_them.lane_key
        and between_them.on_day between lane.valid_from and lane.valid_to
        and lane.equipment in ('*', between_them.equipment)
        and (lane.freight_class is null or lane.freight_class = between_them.freight_class)
    inner join {{ ref('lane_specificity') }} as specific
        on specific.origin_kind = between_them.origin_kind
        and specific.destination_kind = between_them.destination_kind
        and between_them.on_day between specific.valid_from and specific.valid_to
    cross join lateral (
        select
            greatest(
                lane.known_from, between_them.known_from, specific.known_from, between_them.at_moment
            ) as since,
            least(lane.known_to, between_them.known_to, specific.known_to) as until
    ) as fits
    where fits.since < fits.until
),

lane_found as materialized (
    select
        lane_question,
        count(distinct rate_id) as candidates,
        min(rate_id) as rate_id,
        min(version) as version,
        min(known_from) as known_from,
        min(rule_id) as rule_id,
        min(since) as since,
        string_agg(distinct rate_id || ' version ' || version, ', ') as candidate_words
    from lane_ranked
    where place = 1
    group by lane_question
),

with_lane as materialized (
    select
        asked.shipment_id,
        asked.side,
        asked.contract_id,
        questions.on_day,
        -- what is decided with the lane is decided when the lane was known
        coalesce(found.since, questions.at_moment) as at_moment,
        found.candidates,
        found.candidate_words,
        found.rate_id,
        found.version,
        found.known_from,
        found.rule_id
    from asked
    inner join lane_questions as questions on questions.lane_question = asked.lane_question
    left join lane_found as found on found.lane_question = asked.lane_question
),

fuel_changes as (
    select
        array(
            select known_from
            from {{ ref('fuel_price') }}
            group by known_from
            order by known_from
        ) as moments
),

table_changes as (
    select
        {{ days_of_change(ref('rate_band_table')) }} as days,
        {{ moments_of_change(ref('rate_band_table')) }} as moments
),

-- a week's price holds from the contract's weekday on
fuel_asked as (
    select
        request.shipment_id,
        request.side,
        request.ship_on,
        contract.fuel_table,
        contract.fuel_index,
        contract.fuel_region,
        {{ week_of_fuel('request.ship_on', 'contract.fuel_weekday', 'contract.fuel_lag_weeks') }} as week_on,
        request.ship_on - '2000-01-01'::date as ship_number,
        width_bucket(request.known_at, (select moments from fuel_changes)) as price_moment_number,
        width_bucket(request.ship_on, (select days from table_changes)) as table_day_number,
        width_bucket(request.known_at, (select moments from table_changes)) as table_moment_number
    from {{ ref('rating_request') }} as request
    inner join {{ ref('rate_contract') }} as contract
        on contract.contract_id = request.contract_id and contract.version = request.contract_version
        and contract.known_from = request.contract_known_from
    where
        request.reason is null
        and contract.fuel_table is not null
        and {{ in_scope('request.shipment_id', ref('scope_rate_shipments'), 'shipment') }}
),

fueled as materialized (
    select
        fuel_asked.*,
        {{ question(
            ['fuel_index', 'fuel_region', "week_on - '2000-01-01'::date", 'ship_number', 'price_moment_number']
        ) }} as price_question,
        {{ question(['fuel_table', 'table_day_number', 'table_moment_number']) }} as table_question
    from fuel_asked
),

fuel_found as (
    select distinct on (keys.price_question)
        keys.price_question,
        price.price,
        price.published_at
    from (
        select
            price_question,
            any_value(fuel_index) as fuel_index,
            any_value(fuel_region) as fuel_region,
            any_value(week_on) as week_on,
            any_value(ship_on) as ship_on,
            any_value({{ change('price_moment_number', '(select moments from fuel_changes)') }}) as price_moment
        from fueled
        group by price_question
    ) as keys
    inner join {{ ref('fuel_price') }} as price
        on price.fuel_index = keys.fuel_index and price.region = keys.fuel_region and price.week_on = keys.week_on
    -- as it was known; of that the newest publication that was out on the day, else the first one
    order by
        keys.price_question,
        {{ known_since('price.known_from', 'keys.price_moment') }},
        price.published_at < keys.ship_on + 1 desc,
        case when price.published_at < keys.ship_on + 1 then price.published_at end desc,
        price.published_at
),

fuel_table_found as (
    select distinct on (keys.table_question)
        keys.table_question,
        bands.version,
        bands.kind,
        bands.band_from,
        bands.band_value
    from (
        select
            table_question,
            any_value(fuel_table) as fuel_table,
            any_value({{ change('table_day_number', '(select days from table_changes)') }}) as table_day,
            any_value({{ change('table_moment_number', '(select moments from table_changes)') }}) as table_moment
        from fueled
        group by table_question
    ) as keys
    inner join {{ ref('rate_band_table') }} as bands
        on bands.table_id = keys.fuel_table and bands.kind in ('fuel_percent', 'fuel_per_mile')
        and keys.table_day between bands.valid_from and bands.valid_to
        and bands.known_to > keys.table_moment
    order by
        keys.table_question,
        {{ known_since('bands.known_from', 'keys.table_moment') }}, bands.version desc
),

-- services that the plan asks for, and those that a contract charges by itself
services_asked as (
    select
        with_lane.shipment_id,
        with_lane.side,
        with_lane.contract_id,
        with_lane.on_day,
        with_lane.at_moment,
        upper(service.charge_code) as charge_code,
        service.quantity,
        false as is_automatic
    from with_lane
    inner join {{ ref('rating_request') }} as request
        on request.shipment_id = with_lane.shipment_id and request.side = with_lane.side
    cross join lateral jsonb_to_recordset(request.accessorials) as service (charge_code text, quantity numeric)
    union all
    select
        with_lane.shipment_id,
        with_lane.side,
        with_lane.contract_id,
        with_lane.on_day,
        with_lane.at_moment,
        automatic.charge_code,
        null,
        true
    from with_lane
    inner join (
        select distinct keys.contract_id, keys.on_day, keys.at_moment, schedule.charge_code
        from (select distinct contract_id, on_day, at_moment from with_lane) as keys
        inner join {{ ref('rate_accessorial') }} as schedule
            on schedule.contract_id = keys.contract_id and schedule.is_automatic
            and keys.on_day between schedule.valid_from and schedule.valid_to
            and schedule.known_from <= keys.at_moment and schedule.known_to > keys.at_moment
    ) as automatic
        on automatic.contract_id = with_lane.contract_id and automatic.on_day = with_lane.on_day
        and automatic.at_moment = with_lane.at_moment
),

services as materialized (
    select
        shipment_id,
        side,
        contract_id,
        on_day,
        at_moment,
        charge_code,
        max(quantity) as quantity,
        {{ question(['contract_id', 'on_day', 'at_moment', 'charge_code']) }} as service_question
    from services_asked
    group by shipment_id, side, contract_id, on_day, at_moment, charge_code
),

service_found as (
    select
        service_question,
        count(*) as candidates,
        (array_agg(accessorial_id))[1] as accessorial_id,
        (array_agg(version))[1] as version,
        (array_agg(known_from))[1] as known_from,
        string_agg(accessorial_id || ' version ' || version, ', ' order by accessorial_id) as candidate_words
    from (
        select
            keys.service_question,
            schedule.accessorial_id,
            schedule.version,
            schedule.known_from,
            rank() over (
                partition by keys.service_question
                order by {{ known_since('schedule.known_from', 'keys.at_moment') }}
            ) as place
        from (
            select distinct service_question, contract_id, on_day, at_moment, charge_code from services
        ) as keys
        inner join {{ ref('rate_accessorial') }} as schedule
            on schedule.contract_id = keys.contract_id and schedule.charge_code = keys.charge_code
            and keys.on_day between schedule.valid_from and schedule.valid_to
            and schedule.known_to > keys.at_moment
    ) as ranked
    where place = 1
    group by service_question
),

service_list as (
    select
        services.shipment_id,
        services.side,
        jsonb_agg(
            jsonb_build_object(
                'charge_code', services.charge_code,
                'quantity', services.quantity,
                'accessorial_id', schedule.accessorial_id,
                'version', schedule.version,
                'basis', schedule.basis,
                'rate', schedule.rate,
                'minimum_charge', schedule.minimum_charge,
                'maximum_charge', schedule.maximum_charge,
                'free_units', schedule.free_units
            )
            order by services.charge_code
        ) as schedules,
        min(services.charge_code) filter (where found.candidates is null) as unknown_charge,
        min(services.charge_code || ': ' || found.candidate_words) filter (where found.candidates > 1) as several_words,
        min(services.charge_code) filter (
            where schedule.basis in ('per_unit', 'per_hour') and services.quantity is null
        ) as uncounted_charge,
        bool_or(schedule.basis = 'per_mile') as needs_miles,
        bool_or(schedule.basis = 'per_pallet') as needs_pallets,
        bool_or(schedule.basis = 'per_cwt') as needs_weight
    from services
    left join service_found as found on found.service_question = services.service_question
    left join {{ ref('rate_accessorial') }} as schedule
        on schedule.accessorial_id = found.accessorial_id and schedule.version = found.version
        and schedule.known_from = found.known_from and found.candidates = 1
    group by services.shipment_id, services.side
),

based as (
    select
        request.*,
        contract.minor_digits,
        contract.rounding,
        contract.dim_divisor,
        contract.has_deficit_weight,
        contract.is_discount_shown,
        contract.fuel_table,
        contract.fuel_index,
        contract.fuel_region,
        contract.fuel_on,
        with_lane.candidates,
        with_lane.candidate_words,
        with_lane.rule_id as specificity_rule,
        lane.rate_id,
        lane.version as rate_version,
        lane.basis,
        lane.break_from,
        lane.break_rate,
        coalesce(lane.minimum_charge, contract.minimum_charge) as minimum_charge,
        nullif(coalesce(lane.discount_percent, contract.discount_percent), 0) as discount_percent,
        case lane.basis
            when 'per_mile' then request.miles
            when 'per_pallet' then request.pallets
            else request.billable_lb
        end as break_quantity,
        case lane.basis
            when 'per_mile' then request.miles
            when 'per_cwt' then request.billable_lb / 100
            when 'per_pallet' then request.pallets
            when 'flat' then 1
            when 'per_lb_dim' then request.billable_lb
        end as quantity,
        fueled.week_on,
        fuel.price as fuel_price,
        fuel.published_at as fuel_published_at,
        fuel_table.version as fuel_table_version,
        fuel_table.kind as fuel_kind,
        fuel_table.band_value[width_bucket(fuel.price, fuel_table.band_from)] as fuel_value,
        service_list.schedules,
        service_list.unknown_charge,
        service_list.several_words,
        service_list.uncounted_charge,
        service_list.needs_miles,
        service_list.needs_pallets,
        service_list.needs_weight
    from {{ ref('rating_request') }} as request
    left join {{ ref('rate_contract') }} as contract
        on contract.contract_id = request.contract_id and contract.version = request.contract_version
        and contract.known_from = request.contract_known_from
    left join with_lane on with_lane.shipment_id = request.shipment_id and with_lane.side = request.side
    left join {{ ref('rate_lane') }} as lane
        on lane.rate_id = with_lane.rate_id and lane.version = with_lane.version
        and lane.known_from = with_lane.known_from and with_lane.candidates = 1
    left join fueled on fueled.shipment_id = request.shipment_id and fueled.side = request.side
    left join fuel_found as fuel on fuel.price_question = fueled.price_question
    left join fuel_table_found as fuel_table on fuel_table.table_question = fueled.table_question
    left join service_list on service_list.shipment_id = request.shipment_id and service_list.side = request.side
    where {{ in_scope('request.shipment_id', ref('scope_rate_shipments'), 'shipment') }}
    offset 0
),

broken as (
    select
        based.*,
        -- a flat rate without breaks asks nothing about the shipment
        case
            when based.basis = 'flat' and cardinality(based.break_from) = 1 and based.break_from[1] = 0 then 1
            else width_bucket(based.break_quantity, based.break_from)
        end as step
    from based
    offset 0
),

grossed as (
    select
        broken.*,
        broken.break_rate[broken.step] as rate,
        {{ rounded('broken.quantity * broken.break_rate[broken.step]', 'broken.minor_digits', 'broken.rounding') }} as own_amount,
        -- as the next break's beginning, where the contract lets it be billed so
        case
            when broken.has_deficit_weight and broken.basis in ('per_cwt', 'per_lb_dim')
                then {{ rounded(
                    "broken.break_from[broken.step + 1] * broken.break_rate[broken.step + 1]"
                    ~ " / case broken.basis when 'per_cwt' then 100 else 1 end",
                    'broken.minor_digits', 'broken.rounding'
                ) }}
        end as next_amount
    from broken
    offset 0
),

discounted as (
    select
        grossed.*,
        grossed.next_amount < grossed.own_amount as is_deficit,
        least(grossed.own_amount, grossed.next_amount) as gross_amount,
        coalesce({{ rounded(
            'least(grossed.own_amount, grossed.next_amount) * grossed.discount_percent / 100',
            'grossed.minor_digits', 'grossed.rounding'
        ) }}, 0) as discount_amount
    from grossed
    offset 0
),

netted as (
    select
        discounted.*,
        greatest(discounted.gross_amount - discounted.discount_amount, discounted.minimum_charge) as net_amount
    from discounted
    offset 0
),

judged as (
    select
        netted.*,
        case
            when netted.fuel_kind = 'fuel_percent'
                then {{ rounded(
                    "case netted.fuel_on when 'gross_linehaul' then netted.gross_amount else netted.net_amount end"
                    ~ " * netted.fuel_value / 100",
                    'netted.minor_digits', 'netted.rounding'
                ) }}
            when netted.fuel_kind = 'fuel_per_mile'
                then {{ rounded('netted.miles * netted.fuel_value', 'netted.minor_digits', 'netted.rounding') }}
        end as fuel_amount,
        case
            when netted.reason is not null then netted.reason
            when netted.candidates is null then 'no_lane_rate'
            when netted.candidates > 1 then 'several_lane_rates'
            when netted.basis = 'per_mile' and netted.miles is null then 'miles_missing'
            when netted.basis = 'per_pallet' and netted.pallets is null then 'pallets_missing'
            when netted.step is null then 'weight_missing'
            when netted.step = 0 then 'below_lowest_break'
            when netted.fuel_table is not null and netted.fuel_table_version is null then 'no_fuel_table'
            when netted.fuel_table is not null and netted.fuel_price is null then 'no_fuel_price'
            when netted.fuel_table is not null and netted.fuel_value is null then 'no_fuel_band'
            when netted.fuel_kind = 'fuel_per_mile' and netted.miles is null then 'miles_missing'
            when netted.unknown_charge is not null then 'no_accessorial_rate'
            when netted.several_words is not null then 'several_accessorial_rates'
            when netted.uncounted_charge is not null then 'accessorial_quantity_missing'
            when netted.needs_miles and netted.miles is null then 'miles_missing'
            when netted.needs_pallets and netted.pallets is null then 'pallets_missing'
            when netted.needs_weight and netted.billable_lb is null then 'weight_missing'
        end as final_reason
    from netted
    offset 0
)

select
    shipment_id,
    side,
    is_needed,
    plan_version,
    party,
    contract_id,
    contract_version,
    currency,
    ship_on,
    known_at,
    rate_id,
    rate_version,
    specificity_rule,
    basis,
    freight_class,
    actual_class,
    class_rule,
    density_pcf,
    cube_ft3,
    actual_lb,
    dim_lb,
    billable_lb,
    miles,
    pallets,
    quantity::numeric(16, 5) as quantity,
    rate::numeric(14, 4) as rate,
    case when is_deficit then break_from[step + 1] end::numeric(14, 3) as deficit_lb,
    case when is_deficit then break_rate[step + 1] end::numeric(14, 4) as deficit_rate,
    own_amount::numeric(18, 2) as own_amount,
    gross_amount::numeric(18, 2) as gross_amount,
    discount_percent,
    discount_amount::numeric(18, 2) as discount_amount,
    is_discount_shown,
    minimum_charge,
    net_amount::numeric(18, 2) as net_amount,
    fuel_index,
    fuel_region,
    week_on as fuel_week_on,
    fuel_price,
    fuel_published_at,
    fuel_table,
    fuel_table_version,
    fuel_kind,
    fuel_value::numeric(14, 4) as fuel_value,
    fuel_on,
    fuel_amount::numeric(18, 2) as fuel_amount,
    case when final_reason is null then schedules end as schedules,
    minor_digits,
    rounding,
    final_reason as reason,
    case final_reason
        when 'no_lane_rate'
            then 'contract ' || contract_id || ' has no rate from '
                || concat_ws(' ', origin_country, origin_state, origin_postal) || ' to '
                || concat_ws(' ', destination_country, destination_state, destination_postal)
                || coalesce(' for ' || equipment, '') || coalesce(', class ' || {{ plain('freight_class') }}, '')
                || ' on ' || ship_on
        when 'several_lane_rates' then 'several rates fit equally well: ' || candidate_words
        when 'miles_missing' then 'the plan does not say how far it goes, and it is rated by the mile'
        when 'pallets_missing' then 'the plan does not say how many pallets, and it is rated by the pallet'
        when 'weight_missing' then coalesce(words, 'the plan does not say what it weighs')
        when 'below_lowest_break'
            then {{ plain('break_quantity') }} || ' is below the lowest break of rate ' || rate_id || ' version '
                || rate_version
        when 'no_fuel_table' then 'no fuel table ' || fuel_table || ' holds on ' || ship_on
        when 'no_fuel_price'
            then 'no price of ' || fuel_index || ' ' || fuel_region || ' is known for the week of ' || week_on
        when 'no_fuel_band'
            then 'a price of ' || {{ plain('fuel_price') }} || ' is below the lowest band of table ' || fuel_table
        when 'no_accessorial_rate' then 'contract ' || contract_id || ' has no rate for ' || unknown_charge || ' on ' || ship_on
        when 'several_accessorial_rates' then 'several rates hold on ' || ship_on || ' for ' || several_words
        when 'accessorial_quantity_missing' then 'the plan does not say how much of ' || uncounted_charge
        else words
    end as words,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
