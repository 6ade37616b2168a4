{{ config(
    materialized='incremental',
    unique_key=['carrier_invoice_id'],
    tags=['settlement'],
    indexes=[{'columns': ['scac', 'invoice_number']}],
    meta={
        'consumer': 'settle_freight',
        'scope': {
            'relation': 'decisions.scope_settle_freight', 'aggregate_type': 'carrier_invoice',
            'column': 'carrier_invoice_id'
        }
    },
) }}

with invoices as (
    select *
    from {{ ref('carrier_invoice') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
),

lines as (
    select
        carrier_invoice_id,
        bool_or(verdict = 'out_of_tolerance' and agreed_amount is null) as has_out_of_tolerance,
        bool_or(verdict = 'unplanned_charge' and agreed_amount is null) as has_unplanned_charge,
        bool_or(verdict = 'duplicate_charge' and agreed_amount is null) as has_duplicate_charge,
        bool_or(verdict = 'self_billed' and disputed_amount <> 0) as has_self_billed,
        bool_or(verdict = 'self_billed') and not bool_or(agreed_amount is not null) as is_paid_by_us,
        bool_or(self_bill_state = 'awaited') as awaits_self_bill,
        string_agg(distinct self_bill_number, ', ') as self_bill_numbers,
        bool_or(verdict in ('out_of_tolerance', 'unplanned_charge', 'duplicate_charge', 'self_billed')) as has_agreed,
        bool_or(verdict = 'audited') as has_audited,
        bool_or(verdict = 'approved') as has_approved,
        bool_or(verdict = 'in_tolerance') as has_in_tolerance,
        bool_and(is_delivered) as is_delivered,
        bool_or(is_accrued is false) as is_not_accrued,
        bool_and(is_posted) as is_posted,
        count(distinct shipment_id)::int as shipment_count,
        sum(expected_amount)::numeric(18, 2) as expected_amount,
        sum(variance_amount)::numeric(18, 2) as variance_amount,
        sum(paid_amount)::numeric(18, 2) as paid_amount,
        sum(claimed_amount)::numeric(18, 2) as claimed_amount,
        sum(recovered_amount)::numeric(18, 2) as recovered_amount,
        sum(disputed_amount)::numeric(18, 2) as disputed_amount,
        sum(rejected_amount)::numeric(18, 2) as rejected_amount,
        max(dispute_mode) as dispute_mode,
        string_agg(
            substr(shipment_id, 5) || ' ' || charge_code || ': ' || reason, '; '
            order by shipment_id, charge_code
        ) filter (where not {{ fits('verdict') }}) as line_reasons,
        string_agg(distinct substr(shipment_id, 5), ', ') filter (where not is_delivered) as undelivered,
        concat_ws(
            ', ',
            case when bool_or(expense_account is null) then 'expense account of ' || string_agg(
                distinct charge_code, ' and '
            ) filter (where expense_account is null) end,
            case when bool_or(payable_account is null) then 'settlement policy' end,
            case when bool_or(exchange_rate is null and currency <> functional_currency) then 'exchange rate from '
                || min(currency) || ' to ' || min(functional_currency) end
        ) as missing_accounts
    from {{ ref('invoice_line_verdict') }}
    where {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by carrier_invoice_id
),

links as (
    select
        carrier_invoice_id,
        string_agg(
            (
                select
                    coalesce(
                        string_agg(
                            (tried.value ->> 'key') || ' ' || (tried.value ->> 'value') || ' fits '
                            || case
                                when jsonb_array_length(tried.value -> 'candidates') = 0 then 'nothing'
                                else (
                                    select string_agg(substr(fits.shipment_id, 5), ' and ' order by fits.shipment_id)
                                    from jsonb_array_elements_text(tried.value -> 'candidates') as fits (shipment_id)
                                )
                            end, ', '
                        ), 'it names no reference'
                    )
                from jsonb_array_elements(keys_tried) as tried
            ), '; ' order by match_unit
        ) as tried_words
    from {{ ref('invoice_link') }}
    where
        outcome <> 'matched'
        and {{ in_scope('carrier_invoice_id', ref('scope_settle_freight'), 'carrier_invoice') }}
    group by carrier_invoice_id
),

judged as (
    select
        invoices.*,
        standing.duplicate_of,
        standing.exception as standing_exception,
        standing.needs_approval,
        standing.auto_approve_amount,
        lines.paid_amount,
        lines.claimed_amount,
        lines.recovered_amount,
        lines.disputed_amount,
        lines.rejected_amount,
        lines.dispute_mode,
        lines.shipment_count,
        lines.expected_amount,
        lines.variance_amount,
        lines.line_reasons,
        lines.undelivered,
        lines.missing_accounts,
        lines.self_bill_numbers,
        links.tried_words,
        coalesce(
            standing.exception,
            case
                when lines.carrier_invoice_id is null then 'no_candidate'
                when lines.has_out_of_tolerance then 'out_of_tolerance'
                when lines.has_unplanned_charge then 'unplanned_charge'
                when lines.has_duplicate_charge then 'duplicate_charge'
                when lines.has_self_billed then 'self_billed'
                when lines.is_paid_by_us then 'duplicate_self_bill'
                when not lines.is_delivered then 'not_delivered'
                when lines.awaits_self_bill then 'awaits_self_bill'
                when lines.missing_accounts <> '' then 'no_account'
                when lines.is_not_accrued then 'not_accrued'
                when standing.needs_approval then 'needs_approval'
                when lines.has_audited then 'audited'
                when lines.has_agreed then 'agreed'
                when lines.has_approved then 'approved'
                when lines.has_in_tolerance then 'in_tolerance'
                else 'exact'
            end
        ) as verdict,
        coalesce(standing.exception is null and lines.is_posted, false) as is_posted
    from invoices
    inner join {{ ref('invoice_standing') }} as standing
        on standing.carrier_invoice_id = invoices.carrier_invoice_id
    left join lines on lines.carrier_invoice_id = invoices.carrier_invoice_id
    left join links on links.carrier_invoice_id = invoices.carrier_invoice_id
)

select
    judged.carrier_invoice_id,
    judged.scac,
    judged.invoice_number,
    judged.correction,
    judged.invoice_on,
    judged.currency,
    judged.net_amount,
    judged.verdict,
    case judged.verdict
        when 'correction_not_supported' then 'correction ' || judged.correction || ' is not settled by itself: compare it '
            || 'with the bill that it corrects and ask ' || judged.scac || ' for a credit or a balance due instead'
        when 'rebuttal' then judged.scac || ' contradicts our answer to ' || judged.corrects_number
            || ': see the dispute of that bill'
        when 'duplicate_number' then 'this carrier has billed number ' || first_bill.invoice_number || ' before, on '
            || to_char(first_bill.invoice_on, 'YYYY-MM-DD')
        when 'duplicate_move' then 'the same move was billed as ' || first_bill.invoice_number || ' on '
            || to_char(first_bill.invoice_on, 'YYYY-MM-DD')
        when 'replaced' then 'replaced by rebill ' || first_bill.invoice_number || ' of '
            || to_char(first_bill.invoice_on, 'YYYY-MM-DD')
        when 'cancelled' then 'cancelled by ' || first_bill.invoice_number || ' of '
            || to_char(first_bill.invoice_on, 'YYYY-MM-DD')
        when 'cancellation' then 'cancels ' || first_bill.invoice_number || ' of '
            || to_char(first_bill.invoice_on, 'YYYY-MM-DD')
        when 'cancellation_differs' then 'no bill ' || judged.corrects_number || ' over ' || abs(judged.net_amount)
            || ' stands; if less is to be given back, ask ' || judged.scac || ' for a credit'
        when 'corrected_bill_unknown' then 'it speaks of bill ' || judged.corrects_number
            || ', of which none stands; it counts by itself once that bill has come'
        when 'billed_too_late' then 'further charges came later than the carrier may bill them'
        when 'rejected' then 'rejected by a person'
        when 'no_candidate' then 'no shipment found: ' || coalesce(judged.tried_words, 'it has no lines')
        when 'several_candidates' then 'more than one shipment fits: ' || judged.tried_words
        when 'out_of_tolerance' then judged.line_reasons
        when 'unplanned_charge' then judged.line_reasons
        when 'duplicate_charge' then judged.line_reasons
        when 'self_billed' then 'we bill this carrier''s moves ourselves; in dispute is only the difference: '
            || judged.line_reasons
        when 'duplicate_self_bill' then 'paid already by our own document ' || judged.self_bill_numbers
        when 'awaits_self_bill' then 'we bill this carrier''s moves ourselves: waits for our document '
            || judged.self_bill_numbers
        when 'not_accrued' then 'fits; posts by itself once what was accrued for it is known'
        when 'needs_approval' then 'fits; more than ' || judged.auto_approve_amount || ' needs a person''s yes'
        when 'agreed' then 'paid as agreed: ' || judged.line_reasons
        when 'audited' then 'paid as audited: ' || judged.line_reasons
        when 'not_delivered' then 'fits; posts by itself when delivered: ' || judged.undelivered
        when 'no_account' then 'fits, but there is nothing to post it to: no ' || judged.missing_accounts
            || ' was in force for it; ask finance'
        when 'approved' then 'accepted on a second bill'
        when 'in_tolerance' then 'differs by ' || judged.variance_amount || ', within tolerance'
        else 'as planned'
    end as reason,
    judged.duplicate_of,
    coalesce(judged.shipment_count, 0) as shipment_count,
    judged.expected_amount,
    judged.variance_amount,
    judged.is_posted,
    coalesce(judged.dispute_mode, 'hold') as dispute_mode,
    coalesce(judged.paid_amount, 0)::numeric(18, 2) as paid_amount,
    coalesce(judged.claimed_amount, 0)::numeric(18, 2) as claimed_amount,
    coalesce(judged.recovered_amount, 0)::numeric(18, 2) as recovered_amount,
    coalesce(judged.disputed_amount, 0)::numeric(18, 2) as disputed_amount,
    -- of a bill that does not stand nothing is paid, also of lines that fit no shipment
    case
        when judged.standing_exception in {{ waiting_exceptions() }} then 0
        when judged.standing_exception is not null then judged.net_amount
        else coalesce(judged.rejected_amount, 0)
    end::numeric(18, 2) as rejected_amount,
    judged.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from judged
left join {{ ref('carrier_invoice') }} as first_bill on first_bill.carrier_invoice_id = judged.duplicate_of
