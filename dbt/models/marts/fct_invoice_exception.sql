with links as (
    select
        link.carrier_invoice_id,
        string_agg(
            distinct (tried.value ->> 'key') || ' ' || (tried.value ->> 'value'), ', '
        ) as keys_tried
    from {{ ref('invoice_link') }} as link
    cross join lateral jsonb_array_elements(link.keys_tried) as tried
    group by link.carrier_invoice_id
),

candidates as (
    select fits.carrier_invoice_id, string_agg(distinct substr(fits.shipment_id, 5), ', ') as candidates
    from (
        select link.carrier_invoice_id, found.shipment_id
        from {{ ref('invoice_link') }} as link
        cross join lateral jsonb_array_elements_text(link.candidates) as found (shipment_id)
        union all
        select carrier_invoice_id, shipment_id
        from {{ ref('invoice_same_move') }}
    ) as fits
    group by fits.carrier_invoice_id
),

failing as (
    select distinct on (carrier_invoice_id) carrier_invoice_id, rule_id, rule_version
    from {{ ref('invoice_line_verdict') }}
    where verdict = 'out_of_tolerance'
    order by carrier_invoice_id, variance_amount desc, charge_code, shipment_id
)

select
    invoice.carrier_invoice_id,
    judged.scac,
    judged.invoice_number,
    judged.correction,
    judged.invoice_on,
    judged.net_amount,
    judged.paid_amount,
    (judged.net_amount - judged.paid_amount - judged.rejected_amount)::numeric(18, 2) as open_amount,
    judged.currency,
    judged.verdict,
    judged.reason,
    links.keys_tried,
    candidates.candidates,
    case judged.verdict
        when 'out_of_tolerance' then failing.rule_id
        when 'unplanned_charge' then 'charges.must_be_planned'
        when 'duplicate_charge' then 'charges.are_billed_once'
        when 'needs_approval' then 'settlement.approval_limit'
        when 'rejected' then 'settlement.approval_limit'
        when 'billed_too_late' then 'settlement.further_charges_in_time'
        when 'replaced' then 'corrections.one_bill_stands'
        when 'cancelled' then 'corrections.one_bill_stands'
        when 'cancellation_differs' then 'corrections.one_bill_stands'
        when 'corrected_bill_unknown' then 'corrections.one_bill_stands'
        when 'rebuttal' then 'disputes.answers'
        when 'duplicate_number' then 'duplicates.first_stands'
        when 'duplicate_move' then 'duplicates.first_stands'
        when 'self_billed' then 'settlement.self_billing'
        when 'duplicate_self_bill' then 'settlement.self_billing'
        when 'awaits_self_bill' then 'settlement.self_billing'
        when 'not_delivered' then 'settlement.after_delivery'
        when 'correction_not_supported' then 'settlement.known_corrections'
        when 'no_account' then 'settlement.account_of_the_charge'
        else 'match.reference_cascade'
    end as rule_id,
    coalesce(case judged.verdict when 'out_of_tolerance' then failing.rule_version end, '1') as rule_version,
    document.name as document_name,
    landed.document_id,
    landed.position
from {{ ref('invoice_verdict') }} as judged
inner join {{ ref('carrier_invoice') }} as invoice on invoice.carrier_invoice_id = judged.carrier_invoice_id
left join {{ source('landing', 'carrier_invoice') }} as landed on landed.record_id = invoice.record_id
left join {{ source('landing', 'document') }} as document on document.document_id = landed.document_id
left join links on links.carrier_invoice_id = judged.carrier_invoice_id
left join candidates on candidates.carrier_invoice_id = judged.carrier_invoice_id
left join failing on failing.carrier_invoice_id = judged.carrier_invoice_id
where judged.verdict not in ('exact', 'in_tolerance', 'approved', 'agreed', 'audited', 'cancellation', 'replaced', 'cancelled')
