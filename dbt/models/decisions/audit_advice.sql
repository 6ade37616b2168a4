{{ config(materialized='view', tags=['static']) }}

-- The newest result on a bill as it was billed; of several platforms the one that audited last.
with results as (
    select distinct on (invoice.carrier_invoice_id)
        invoice.carrier_invoice_id,
        invoice.net_amount,
        result.record_id,
        result.platform,
        result.platform_reference,
        result.action,
        result.audited_amount,
        coalesce(result.reason, result.reason_code) as reason,
        result.audited_on
    from {{ ref('stg_audit__results') }} as result
    inner join {{ ref('carrier_invoice') }} as invoice
        on
            invoice.scac = result.scac
            and invoice.normalized_number = {{ normalized_number('result.invoice_number') }}
            and invoice.invoice_number = result.invoice_number
            and invoice.correction = result.correction
            and invoice.currency = result.currency
            and invoice.net_amount = result.billed_amount
    order by invoice.carrier_invoice_id, result.audited_on desc nulls last, result.revision desc, result.record_id desc
),

billed as (
    select
        results.carrier_invoice_id,
        line.charge_code,
        sum(line.line_amount) as billed_amount
    from results
    inner join {{ ref('carrier_invoice_line') }} as line on line.carrier_invoice_id = results.carrier_invoice_id
    group by results.carrier_invoice_id, line.charge_code
),

-- its lines speak of charges as the carrier writes them
audited as (
    select
        results.carrier_invoice_id,
        named.charge_code,
        sum(part.audited_amount) as audited_amount,
        string_agg(distinct coalesce(part.reason, part.reason_code), '; ') as reason
    from results
    inner join {{ ref('stg_audit__result_lines') }} as part on part.record_id = results.record_id
    inner join lateral (
        select min(line.charge_code) as charge_code
        from {{ ref('carrier_invoice_line') }} as line
        where line.carrier_invoice_id = results.carrier_invoice_id and line.partner_code = part.partner_code
    ) as named on named.charge_code is not null
    group by results.carrier_invoice_id, named.charge_code
),

-- only where they say all that is to be paid
complete as (
    select carrier_invoice_id
    from audited
    group by carrier_invoice_id
    having sum(audited_amount) = (
        select results.audited_amount
        from results
        where results.carrier_invoice_id = audited.carrier_invoice_id
    )
)

select
    billed.carrier_invoice_id,
    billed.charge_code,
    results.platform,
    results.platform_reference,
    results.action,
    billed.billed_amount::numeric(18, 2) as billed_amount,
    (
        case
            when results.action = 'approve' then billed.billed_amount
            when results.action = 'reject' then 0
            when complete.carrier_invoice_id is not null then coalesce(audited.audited_amount, 0)
        end
    )::numeric(18, 2) as audited_amount,
    coalesce(audited.reason, results.reason, 'no reason given') as reason,
    results.audited_on
from billed
inner join results on results.carrier_invoice_id = billed.carrier_invoice_id
left join complete on complete.carrier_invoice_id = billed.carrier_invoice_id
left join audited
    on audited.carrier_invoice_id = billed.carrier_invoice_id and audited.charge_code = billed.charge_code
