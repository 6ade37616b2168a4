{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id'],
    tags=['settlement'],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

with recursive invoices as (
    select
        carrier_invoice_id, scac, normalized_number, correction, corrects_number, service_level, net_amount,
        business_order, received_at
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

links as (
    select
        link.carrier_invoice_id,
        bool_or(link.outcome = 'no_candidate') as has_no_candidate,
        bool_or(link.outcome = 'several_candidates') as has_several_candidates
    from {{ ref('invoice_link') }} as link
    where
        link.outcome <> 'matched'
        and {{ in_scope('link.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by link.carrier_invoice_id
),

moves as (
    select carrier_invoice_id, shipment_id
    from {{ ref('invoice_same_move') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

-- a correction is a legitimate second under its bill's number, unless the same kind bills the same charges again
contents as (
    select
        charge.carrier_invoice_id,
        jsonb_agg(
            jsonb_build_array(charge.shipment_id, charge.charge_code, charge.invoiced_amount)
            order by charge.shipment_id, charge.charge_code
        ) as charges
    from {{ ref('invoice_charge') }} as charge
    where
        charge.correction <> ''
        and {{ in_scope('charge.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by charge.carrier_invoice_id
),

repeated as (
    select carrier_invoice_id, first_id
    from (
        select
            invoices.carrier_invoice_id,
            first_value(invoices.carrier_invoice_id) over (
                partition by invoices.scac, invoices.normalized_number, invoices.correction, contents.charges
                order by invoices.business_order
            ) as first_id
        from invoices
        inner join contents on contents.carrier_invoice_id = invoices.carrier_invoice_id
    ) as ordered
    where first_id <> carrier_invoice_id
),

-- A rebill under a number of its own belongs to the bill that it replaces, and so does what speaks of the rebill.
renamed as (
    select scac, normalized_number, corrects_number as root_number
    from invoices
    where correction = 'RB' and corrects_number <> normalized_number
    union
    select renamed.scac, renamed.normalized_number, earlier.corrects_number
    from renamed
    inner join invoices as earlier
        on earlier.scac = renamed.scac and earlier.normalized_number = renamed.root_number
        and earlier.correction = 'RB' and earlier.corrects_number <> earlier.normalized_number
),

roots as (
    select scac, normalized_number, min(root_number) as root_number
    from renamed
    where not exists (
        select 1
        from renamed as further
        where further.scac = renamed.scac and further.normalized_number = renamed.root_number
    )
    group by scac, normalized_number
),

-- First bills, rebills and cancellations of one number tell one story: at any time at most one bill stands. Numbers
-- with a single bill have no story.
told as (
    select
        invoices.carrier_invoice_id,
        invoices.scac,
        invoices.correction,
        invoices.net_amount,
        invoices.business_order,
        coalesce(roots.root_number, invoices.corrects_number, invoices.normalized_number) as number
    from invoices
    left join roots
        on roots.scac = invoices.scac
        and roots.normalized_number = coalesce(invoices.corrects_number, invoices.normalized_number)
    left join repeated on repeated.carrier_invoice_id = invoices.carrier_invoice_id
    where invoices.correction in ('', 'RB', 'CA') and repeated.carrier_invoice_id is null
),

stories as (
    select scac, number
    from told
    group by scac, number
    having count(*) > 1 or bool_or(correction <> '')
),

-- a cancellation says what it cancels by its amount, too: another amount may be meant as a credit
chapters as (
    select
        told.*,
        told.correction = 'CA' and not exists (
            select 1
            from told as bill
            where
                bill.scac = told.scac and bill.number = told.number and bill.correction in ('', 'RB')
                and bill.business_order < told.business_order and abs(bill.net_amount) = abs(told.net_amount)
        ) as differs
    from told
    inner join stories on stories.scac = told.scac and stories.number = told.number
),

segments as (
    select
        *,
        count(*) filter (where correction = 'CA' and not differs) over (
            partition by scac, number order by business_order rows between unbounded preceding and 1 preceding
        ) as segment
    from chapters
),

begun as (
    select
        *,
        min(business_order) filter (where correction = '') over (partition by scac, number, segment) as first_order
    from segments
),

-- what stands after the segment's first bill and its rebills, and what took the place of each
standing as (
    select
        carrier_invoice_id,
        scac,
        number,
        segment,
        lead(carrier_invoice_id) over story as replaced_by,
        lag(carrier_invoice_id) over story as replaces
    from begun
    where
        (correction = '' and business_order = first_order)
        or (correction = 'RB' and business_order > first_order)
    window story as (partition by scac, number, segment order by business_order)
),

by_number as (
    select
        begun.carrier_invoice_id,
        case
            when begun.correction = '' and begun.business_order <> begun.first_order then 'duplicate_number'
            when begun.correction = 'CA' and begun.differs then 'cancellation_differs'
            when begun.correction = 'CA' and last_bill.carrier_invoice_id is null then 'corrected_bill_unknown'
            when begun.correction = 'CA' then 'cancellation'
            when standing.carrier_invoice_id is null then 'corrected_bill_unknown'
            when standing.replaced_by is not null then 'replaced'
            when cancelling.carrier_invoice_id is not null then 'cancelled'
        end as exception,
        case
            when begun.correction = '' and begun.business_order <> begun.first_order then first_bill.carrier_invoice_id
            when begun.differs then null
            when begun.correction = 'CA' then last_bill.carrier_invoice_id
            else coalesce(standing.replaced_by, cancelling.carrier_invoice_id)
        end as other_id
    from begun
    left join standing on standing.carrier_invoice_id = begun.carrier_invoice_id
    left join standing as first_bill
        on first_bill.scac = begun.scac and first_bill.number = begun.number and first_bill.segment = begun.segment
        and first_bill.replaces is null
    left join standing as last_bill
        on last_bill.scac = begun.scac and last_bill.number = begun.number and last_bill.segment = begun.segment
        and last_bill.replaced_by is null
    left join begun as cancelling
        on cancelling.scac = begun.scac and cancelling.number = begun.number and cancelling.segment = begun.segment
        and cancelling.correction = 'CA' and not cancelling.differs
),

numbered as (
    select
        invoices.*,
        case
            when invoices.correction in ('RF', 'RP') then 'rebuttal'
            when invoices.correction not in ('', 'SU', 'BD', 'CO', 'AD', 'CR', 'RB', 'CA') then 'correction_not_supported'
            when repeated.first_id is not null then 'duplicate_number'
            else by_number.exception
        end as number_exception,
        coalesce(repeated.first_id, by_number.other_id) as number_other_id
    from invoices
    left join repeated on repeated.carrier_invoice_id = invoices.carrier_invoice_id
    left join by_number on by_number.carrier_invoice_id = invoices.carrier_invoice_id
),

-- shipments that more than one bill speaks of
shared as (
    select shipment_id
    from {{ ref('invoice_charge') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by shipment_id
    having min(carrier_invoice_id) <> max(carrier_invoice_id)
    union
    select shipment_id from moves
),

-- the same charges of one shipment again under another number
billed as (
    select
        charge.carrier_invoice_id,
        charge.shipment_id,
        numbered.scac,
        numbered.business_order,
        numbered.service_level,
        bool_or(charge.self_bill_state = 'ours') as is_ours,
        jsonb_agg(jsonb_build_array(charge.charge_code, charge.invoiced_amount) order by charge.charge_code) as charges
    from shared
    inner join {{ ref('invoice_charge') }} as charge on charge.shipment_id = shared.shipment_id
    inner join numbered on numbered.carrier_invoice_id = charge.carrier_invoice_id
    where numbered.correction in ('', 'RB') and numbered.number_exception is null
    group by
        charge.carrier_invoice_id, charge.shipment_id, numbered.scac, numbered.business_order, numbered.service_level
),

by_move as (
    select
        carrier_invoice_id,
        shipment_id,
        first_value(carrier_invoice_id) over (
            partition by shipment_id, scac, charges order by business_order
        ) as first_of_move
    from billed
    -- beside our own document a carrier's bill is compared charge by charge: it may bill other shipments, too
    where is_ours is not true
),

moved_again as (
    select carrier_invoice_id, min(first_of_move) as first_of_move
    from by_move
    where first_of_move <> carrier_invoice_id
    group by carrier_invoice_id
),

-- no reference fits, but it is the move of a shipment that this carrier has billed
unreferenced as (
    select distinct on (moves.carrier_invoice_id)
        moves.carrier_invoice_id,
        billed.carrier_invoice_id as first_of_move
    from moves
    inner join numbered on numbered.carrier_invoice_id = moves.carrier_invoice_id and numbered.correction = ''
    inner join billed
        on billed.shipment_id = moves.shipment_id and billed.scac = numbered.scac
        and coalesce(billed.service_level = numbered.service_level, true)
    order by moves.carrier_invoice_id, billed.business_order
),

-- further charges must be billed in a time from the first bill
further as (
    select charge.carrier_invoice_id, charge.shipment_id, charge.extra_bill_days
    from {{ ref('invoice_charge') }} as charge
    where
        charge.correction in ('SU', 'BD') and charge.extra_bill_days is not null
        and {{ in_scope('charge.carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

late as (
    select further.carrier_invoice_id
    from further
    inner join {{ ref('invoice_charge') }} as charge
        on charge.shipment_id = further.shipment_id and charge.correction in ('', 'RB')
    inner join numbered as first_bill
        on first_bill.carrier_invoice_id = charge.carrier_invoice_id and first_bill.number_exception is null
    inner join invoices on invoices.carrier_invoice_id = further.carrier_invoice_id
    group by further.carrier_invoice_id, invoices.received_at, further.extra_bill_days
    having invoices.received_at > min(first_bill.received_at) + further.extra_bill_days * interval '1 day'
),

-- a person's word on a bill, for the amount that it had then
approvals as (
    select distinct on (carrier_invoice_id) carrier_invoice_id, verdict, amount
    from {{ source('cases', 'invoice_approval') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    order by carrier_invoice_id, approval_id desc
),

limits as (
    select carrier_invoice_id, min(auto_approve_amount)::numeric(18, 2) as auto_approve_amount
    from {{ ref('invoice_charge') }}
    where
        auto_approve_amount is not null
        and {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by carrier_invoice_id
),

judged as (
    select
        numbered.carrier_invoice_id,
        case
            when numbered.number_exception is not null then numbered.number_exception
            when unreferenced.first_of_move is not null then 'duplicate_move'
            when links.has_no_candidate then 'no_candidate'
            when links.has_several_candidates then 'several_candidates'
            when moved_again.first_of_move is not null then 'duplicate_move'
            when late.carrier_invoice_id is not null then 'billed_too_late'
            when approvals.verdict = 'rejected' and approvals.amount = numbered.net_amount then 'rejected'
        end as exception,
        case
            when numbered.number_exception is not null then numbered.number_other_id
            when unreferenced.first_of_move is not null then unreferenced.first_of_move
            when links.has_no_candidate or links.has_several_candidates then null
            else moved_again.first_of_move
        end as other_id,
        coalesce(
            numbered.net_amount > limits.auto_approve_amount
            and (approvals.verdict = 'approved' and approvals.amount = numbered.net_amount) is not true, false
        ) as needs_approval,
        limits.auto_approve_amount
    from numbered
    left join links on links.carrier_invoice_id = numbered.carrier_invoice_id
    left join moved_again on moved_again.carrier_invoice_id = numbered.carrier_invoice_id
    left join unreferenced on unreferenced.carrier_invoice_id = numbered.carrier_invoice_id
    left join late on late.carrier_invoice_id = numbered.carrier_invoice_id
    left join approvals on approvals.carrier_invoice_id = numbered.carrier_invoice_id
    left join limits on limits.carrier_invoice_id = numbered.carrier_invoice_id
)

select
    carrier_invoice_id,
    exception,
    other_id as duplicate_of,
    needs_approval,
    auto_approve_amount,
    '{{ run_id() }}'::text as changed_in_run
from judged
