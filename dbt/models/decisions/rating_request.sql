{{ config(
    materialized='incremental',
    unique_key=['shipment_id', 'side'],
    tags=['rating'],
    pre_hook="{{ '' if is_scoped() else 'set local enable_nestloop = off' }}",
    post_hook="{{ '' if is_scoped() else 'analyze ' ~ this }}",
    meta={
        'consumer': 'rate_shipments',
        'scope': {
            'relation': 'decisions.scope_rate_shipments', 'aggregate_type': 'shipment', 'column': 'shipment_id'
        }
    },
) }}

with plans as (
    select
        plan.record_id,
        plan.shipment_id,
        plan.scac,
        plan.ship_on,
        plan.mode,
        plan.admitted_at as known_at,
        jsonb_array_length(plan.charges) = 0 as is_needed
    from {{ ref('stg_tms__shipment_plans') }} as plan
    where
        {{ in_scope('plan.shipment_id', ref('scope_rate_shipments'), 'shipment') }}
        and not exists (
            select 1
            from {{ ref('stg_tms__shipment_plans') }} as newer
            where
                newer.shipment_id = plan.shipment_id
                and (newer.plan_version, coalesce(newer.occurred_at, '-infinity'), newer.record_id)
                > (plan.plan_version, coalesce(plan.occurred_at, '-infinity'), plan.record_id)
        )
),

parties as (select distinct side, party from {{ ref('rate_contract') }}),

-- with a contract of their own customers, and only while one has any
customers as (
    select
        plans.record_id,
        min(orders.customer_id) as party,
        count(distinct orders.customer_id) > 1 as are_several
    from plans
    inner join {{ ref('stg_tms__shipment_plans') }} as whole on whole.record_id = plans.record_id
    cross join lateral jsonb_to_recordset(whole.order_lines) as part (order_number text)
    inner join {{ ref('sales_order') }} as orders on orders.order_id = {{ plan_order_id('whole.direction', 'part.order_number') }}
    left join parties on parties.side = 'sell' and parties.party = orders.customer_id
    where
        exists (
            select 1
            from parties as any_party
            where any_party.side = 'sell'
        )
    group by plans.record_id
    having bool_or(parties.party is not null)
),

contract_changes as (
    select
        {{ days_of_change(ref('rate_contract')) }} as days,
        {{ moments_of_change(ref('rate_contract')) }} as moments
),

table_changes as (
    select
        {{ days_of_change(ref('rate_band_table')) }} as days,
        {{ moments_of_change(ref('rate_band_table')) }} as moments
),

dated as (
    select
        plans.*,
        width_bucket(plans.ship_on, (select days from contract_changes)) as day_number,
        width_bucket(plans.known_at, (select moments from contract_changes)) as moment_number
    from plans
),

asked as materialized (
    select
        one.*,
        {{ question(['one.side', 'one.party', 'one.mode', 'one.day_number', 'one.moment_number']) }} as contract_question
    from (
        select plans.*, 'buy'::text as side, plans.scac as party, false as are_several
        from dated as plans
        where
            plans.is_needed
            or exists (
                select 1
                from parties
                where parties.side = 'buy' and parties.party = plans.scac
            )
        union all
        select plans.*, 'sell', customers.party, customers.are_several
        from customers
        inner join dated as plans on plans.record_id = customers.record_id
    ) as one
),

contract_ranked as (
    select
        questions.contract_question,
        contract.contract_id,
        contract.version,
        contract.known_from,
        rank() over (
            partition by questions.contract_question
            order by {{ known_since('contract.known_from', 'questions.at_moment') }}
        ) as place
    from (
        select
            contract_question,
            any_value(side) as side,
            any_value(party) as party,
            any_value(mode) as mode,
            any_value({{ change('day_number', '(select days from contract_changes)') }}) as on_day,
            any_value({{ change('moment_number', '(select moments from contract_changes)') }}) as at_moment
        from asked
        group by contract_question
    ) as questions
    inner join {{ ref('rate_contract') }} as contract
        on contract.side = questions.side and contract.party = questions.party
        and (questions.mode is null or contract.mode = questions.mode)
        and questions.on_day between contract.valid_from and contract.valid_to
        and contract.known_to > questions.at_moment
),

contract_found as (
    select
        contract_question,
        count(*) as candidates,
        min(contract_id) as contract_id,
        min(version) as version,
        min(known_from) as known_from,
        string_agg(contract_id || ' version ' || version, ', ' order by contract_id) as candidate_words
    from contract_ranked
    where place = 1
    group by contract_question
),

with_contract as materialized (
    select
        asked.record_id,
        asked.shipment_id,
        asked.side,
        asked.party,
        asked.are_several,
        asked.is_needed,
        asked.ship_on,
        asked.known_at,
        asked.mode,
        found.candidates,
        found.candidate_words,
        found.contract_id,
        found.version,
        found.known_from,
        {{ last_change('asked.ship_on', '(select days from table_changes)') }} as on_day,
        {{ last_change('asked.known_at', '(select moments from table_changes)') }} as at_moment
    from asked
    left join contract_found as found on found.contract_question = asked.contract_question
),

class_table as (
    select distinct on (keys.class_table, keys.on_day, keys.at_moment)
        keys.class_table,
        keys.on_day,
        keys.at_moment,
        bands.version,
        bands.band_from,
        bands.band_value
    from (
        select distinct contract.class_table, with_contract.on_day, with_contract.at_moment
        from with_contract
        inner join {{ ref('rate_contract') }} as contract
            on contract.contract_id = with_contract.contract_id and contract.version = with_contract.version
            and contract.known_from = with_contract.known_from
        where contract.class_table is not null
    ) as keys
    inner join {{ ref('rate_band_table') }} as bands
        on bands.table_id = keys.class_table and bands.kind = 'class'
        and keys.on_day between bands.valid_from and bands.valid_to
        and bands.known_to > keys.at_moment
    order by
        keys.class_table, keys.on_day, keys.at_moment,
        {{ known_since('bands.known_from', 'keys.at_moment') }}, bands.version desc
),

-- where the plan has no handling units: pallets of the order's lines that move as a whole, by the product master
order_units as (
    select
        with_contract.record_id,
        with_contract.side,
        sum(part.weight_lb) as weight_lb,
        case when bool_and(line.pallets > 0 and line.quantity = part.quantity) then sum(line.pallets)::int end as pallets,
        case
            when bool_and(line.pallets > 0 and line.quantity = part.quantity)
                then jsonb_agg(
                    jsonb_build_object(
                        'count', line.pallets,
                        'length_in', line.pallet_length_in,
                        'width_in', line.pallet_width_in,
                        'height_in', line.pallet_height_in,
                        'weight_lb', round(part.weight_lb / nullif(line.pallets, 0), 3)
                    )
                )
        end as units
    from with_contract
    inner join {{ ref('stg_tms__shipment_plans') }} as plan
        on plan.record_id = with_contract.record_id and plan.handling_units is null
    cross join lateral jsonb_to_recordset(plan.order_lines) as part (
        order_number text, line int, quantity int, weight_lb numeric(12, 3)
    )
    left join {{ ref('sales_order_line') }} as line
        on line.order_id = {{ plan_order_id('plan.direction', 'part.order_number') }} and line.line = part.line
    where with_contract.candidates = 1
    group by with_contract.record_id, with_contract.side
    having bool_and(line.order_id is not null and line.quantity is not null and line.pallets is not null)
),

measured as (
    select
        asked.*,
        plan.plan_version,
        plan.correlation_id,
        plan.equipment,
        plan.miles,
        plan.accessorials,
        coalesce(plan.pallets, order_units.pallets) as pallets,
        coalesce(plan.weight_lb, order_units.weight_lb, units.weight_lb) as actual_lb,
        -- mostly two, and in order: then nothing has to be sorted
        case
            when (plan.stops -> 0 ->> 'sequence')::int < (plan.stops -> 1 ->> 'sequence')::int
                and jsonb_array_length(plan.stops) = 2 then plan.stops -> 0
            else (
                select stop.value
                from jsonb_array_elements(plan.stops) as stop
                order by (stop.value ->> 'sequence')::int
                limit 1
            )
        end as origin,
        case
            when (plan.stops -> 0 ->> 'sequence')::int < (plan.stops -> 1 ->> 'sequence')::int
                and jsonb_array_length(plan.stops) = 2 then plan.stops -> 1
            else (
                select stop.value
                from jsonb_array_elements(plan.stops) as stop
                order by (stop.value ->> 'sequence')::int desc
                limit 1
            )
        end as destination,
        units.cube_in3,
        units.dim_lb,
        units.piece_lb,
        coalesce(plan.freight_class, units.least_class) as least_class,
        coalesce(plan.freight_class, units.greatest_class) as greatest_class,
        contract.currency,
        contract.class_table as class_table_id,
        contract.dim_divisor,
        contract.dim_per,
        contract.weight_increment_lb,
        contract.fak_class,
        contract.fak_from_class,
        contract.fak_to_class,
        contract.class_table is not null
        and (contract.fak_class is null or contract.fak_from_class is not null)
        and coalesce(plan.freight_class, units.least_class) is null as needs_density,
        class_table.version as class_table_version,
        class_table.band_from,
        class_table.band_value
    from with_contract as asked
    inner join {{ ref('stg_tms__shipment_plans') }} as plan on plan.record_id = asked.record_id
    left join {{ ref('rate_contract') }} as contract
        on contract.contract_id = asked.contract_id and contract.version = asked.version
        and contract.known_from = asked.known_from and asked.candidates = 1
    left join class_table
        on class_table.class_table = contract.class_table and class_table.on_day = asked.on_day
        and class_table.at_moment = asked.at_moment
    left join order_units on order_units.record_id = asked.record_id and order_units.side = asked.side
    -- of a part nothing is said about the whole
    left join lateral (
        select
            case
                when bool_and(unit.has_sides) then sum(unit.count * unit.length_in * unit.width_in * unit.height_in)
            end as cube_in3,
            case when bool_and(unit.has_sides) then sum(unit.count * unit.dim_lb) end as dim_lb,
            case
                when bool_and(unit.has_sides and unit.weight_lb is not null)
                    then sum(unit.count * greatest(unit.step_lb, unit.dim_lb))
            end as piece_lb,
            case when bool_and(unit.weight_lb is not null) then sum(unit.count * unit.weight_lb) end as weight_lb,
            case when bool_and(unit.freight_class is not null) then min(unit.freight_class) end as least_class,
            case when bool_and(unit.freight_class is not null) then max(unit.freight_class) end as greatest_class
        from (
            select
                one.*,
                num_nonnulls(one.length_in, one.width_in, one.height_in) = 3 as has_sides,
                -- each side up, then the quotient up: the parcel carriers' rule
                ceil(ceil(one.length_in) * ceil(one.width_in) * ceil(one.height_in) / contract.dim_divisor) as dim_lb,
                {{ weight_step('one.weight_lb', 'contract.weight_increment_lb') }} as step_lb
            from jsonb_to_recordset(coalesce(plan.handling_units, order_units.units)) as one (
                count int, length_in numeric, width_in numeric, height_in numeric, weight_lb numeric,
                freight_class numeric
            )
        ) as unit
    ) as units on true
),

classed as (
    select
        measured.*,
        measured.least_class <> measured.greatest_class as has_several_classes,
        measured.fak_class is not null and (
            measured.fak_from_class is null
            or measured.least_class >= measured.fak_from_class and measured.greatest_class <= measured.fak_to_class
        ) is true as is_fak,
        case
            when measured.needs_density and measured.cube_in3 > 0
                then measured.actual_lb * 1728 / measured.cube_in3
        end as density_pcf,
        case measured.dim_per
            when 'piece' then measured.piece_lb
            when 'shipment'
                then case
                    when measured.actual_lb is not null and measured.dim_lb is not null
                        then greatest({{ weight_step('measured.actual_lb', 'measured.weight_increment_lb') }}, measured.dim_lb)
                end
            else {{ weight_step('measured.actual_lb', 'measured.weight_increment_lb') }}
        end as billable_lb
    from measured
    offset 0
),

judged as (
    select
        classed.*,
        case
            when classed.density_pcf is not null
                then classed.band_value[width_bucket(classed.density_pcf, classed.band_from)]
        end as density_class
    from classed
    offset 0
)

select
    shipment_id,
    side,
    is_needed,
    plan_version,
    record_id as plan_record_id,
    ship_on,
    known_at,
    party,
    contract_id,
    version as contract_version,
    known_from as contract_known_from,
    currency,
    equipment,
    origin ->> 'country' as origin_country,
    origin ->> 'state' as origin_state,
    upper(replace(origin ->> 'postal_code', ' ', '')) as origin_postal,
    destination ->> 'country' as destination_country,
    destination ->> 'state' as destination_state,
    upper(replace(destination ->> 'postal_code', ' ', '')) as destination_postal,
    miles,
    pallets,
    actual_lb::numeric(14, 3) as actual_lb,
    dim_lb::numeric(14, 0) as dim_lb,
    billable_lb::numeric(14, 3) as billable_lb,
    (cube_in3 / 1728)::numeric(14, 3) as cube_ft3,
    density_pcf::numeric(14, 3) as density_pcf,
    case
        when is_fak then fak_class
        when least_class is not null then least_class
        when fak_class is not null and density_class between fak_from_class and fak_to_class then fak_class
        else density_class
    end::numeric(6, 2) as freight_class,
    coalesce(least_class, density_class)::numeric(6, 2) as actual_class,
    case when density_class is not null then class_table_id || ' version ' || class_table_version end as class_rule,
    accessorials,
    case
        when are_several then 'several_customers'
        when ship_on is null then 'no_ship_date'
        when candidates is null then 'no_contract'
        when candidates > 1 then 'several_contracts'
        when has_several_classes and not is_fak then 'several_classes'
        when needs_density and coalesce(cube_in3, 0) = 0 then 'dimensions_missing'
        when dim_divisor is not null and dim_lb is null then 'dimensions_missing'
        when needs_density and actual_lb is null then 'weight_missing'
        when dim_per = 'piece' and piece_lb is null then 'weight_missing'
        when needs_density and class_table_version is null then 'no_class_table'
        when needs_density and density_class is null then 'no_class_band'
    end as reason,
    case
        when are_several then 'its orders are of several customers: nobody knows under whose contract it goes'
        when ship_on is null then 'the plan names no day of pickup'
        when candidates is null
            then 'no ' || side || ' contract with ' || coalesce(party, '(nobody)') || ' holds'
                || coalesce(' for ' || mode, '') || ' on ' || ship_on
        when candidates > 1 then 'several contracts hold on ' || ship_on || ': ' || candidate_words
        when has_several_classes and not is_fak
            then 'its handling units are of classes ' || {{ plain('least_class') }} || ' to '
                || {{ plain('greatest_class') }} || ', and one class is rated'
        when (needs_density and coalesce(cube_in3, 0) = 0) or (dim_divisor is not null and dim_lb is null)
            then 'neither the plan nor the product master has the dimensions of all that moves'
        when (needs_density and actual_lb is null) or (dim_per = 'piece' and piece_lb is null)
            then 'the plan does not say what it weighs'
        when needs_density and class_table_version is null
            then 'no class table ' || class_table_id || ' holds on ' || ship_on
        when needs_density and density_class is null
            then 'a density of ' || {{ plain('round(density_pcf, 3)') }} || ' lb/ft³ is below table ' || class_table_id
    end as words,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
