{{ config(materialized='view', tags=['static']) }}

-- The tax of a bill stands beside its net amount. Owed is as much of it as of the net amount: all of it with all, none
-- with none, else in proportion. Of a bill that we write ourselves there is none.
select
    verdict.carrier_invoice_id,
    verdict.scac,
    verdict.invoice_number,
    verdict.correction,
    verdict.invoice_on,
    verdict.currency,
    verdict.net_amount,
    verdict.paid_amount,
    invoice.tax_amount as billed_tax_amount,
    case
        when verdict.paid_amount = verdict.net_amount then invoice.tax_amount
        when verdict.net_amount <> 0 then round(invoice.tax_amount * verdict.paid_amount / verdict.net_amount, 2)
        else 0
    end::numeric(18, 2) as owed_tax_amount,
    line.shipment_id,
    line.business_unit,
    line.payable_account,
    line.functional_currency,
    case when verdict.currency = line.functional_currency then 1 else line.exchange_rate end::numeric(20, 10)
    as exchange_rate,
    policy.tax_account,
    policy.rule_id,
    policy.rule_version::text as rule_version,
    verdict.correlation_id
from {{ ref('invoice_verdict') }} as verdict
inner join {{ ref('stg_carriers__invoices') }} as invoice
    on invoice.record_id
    = case when verdict.carrier_invoice_id not like 'SELF:%' then split_part(verdict.carrier_invoice_id, ':', 2)::bigint end
    and invoice.tax_amount <> 0
cross join lateral (
    select
        min(judged.shipment_id) as shipment_id,
        min(judged.business_unit) as business_unit,
        min(judged.payable_account) as payable_account,
        min(judged.functional_currency) as functional_currency,
        min(judged.exchange_rate) as exchange_rate
    from {{ ref('invoice_line_verdict') }} as judged
    where judged.carrier_invoice_id = verdict.carrier_invoice_id
) as line
cross join lateral {{ rule_in_force(
    'input_tax_policy', ['newest.is_booked', 'newest.tax_account'],
    "newest.scac in (verdict.scac, '*') and newest.business_unit in (line.business_unit, '*')",
    "newest.scac <> '*' desc, newest.business_unit <> '*' desc", 'verdict.invoice_on', 'invoice.admitted_at'
) }} as policy
where
    verdict.is_posted
    and policy.is_booked
    -- nothing is looked at where no company books it
    and exists (
        select 1
        from {{ source('rules', 'input_tax_policy') }} as booking
        where booking.is_booked
    )
