{{ config(materialized='view', tags=['static']) }}

-- What a carrier's answer is about: an advice of ours by its group's control number, else the bill or the shipment whose
-- number an 824 names. An answer to nothing of ours is shown: it may be meant for our TMS, or be lost.
with named as (
    select
        answer.record_id,
        (
            select min(sent.outbox_id)
            from {{ ref('edi_sent') }} as sent
            where
                sent.partner = answer.partner and sent.control_number = answer.group_number
                and case answer.kind when '997' then answer.functional_id = 'AG' else answer.set_id = '824' end
        ) as outbox_id,
        case
            when answer.kind = '824' then (
                select array_agg(distinct invoice.carrier_invoice_id)
                from {{ ref('carrier_invoice') }} as invoice
                where
                    invoice.scac = answer.scac
                    and invoice.normalized_number = {{ normalized_number('answer.reference') }}
            )
        end as invoices,
        case
            when answer.kind = '824' then (
                select min(shipment.shipment_id)
                from {{ ref('shipment') }} as shipment
                where shipment.shipment_id = 'tms:' || answer.reference
            )
        end as shipment_id
    from {{ ref('stg_carriers__edi_answers') }} as answer
),

links as (
    select
        answer.record_id,
        answer.partner,
        answer.scac,
        answer.kind,
        answer.verdict,
        named.outbox_id,
        case when named.outbox_id is null and cardinality(named.invoices) = 1 then named.invoices[1] end as carrier_invoice_id,
        case when named.outbox_id is null and named.invoices is null then named.shipment_id end as shipment_id,
        case
            when named.outbox_id is not null then 'advice'
            when cardinality(named.invoices) = 1 then 'carrier_invoice'
            when named.invoices is not null then 'several_invoices'
            when named.shipment_id is not null then 'shipment'
            else 'nothing_of_ours'
        end as answers,
        answer.verdict = 'rejected'
        or (
            named.outbox_id is null and coalesce(cardinality(named.invoices), 0) <> 1
            and (named.invoices is not null or named.shipment_id is null)
        ) as needs_a_look,
        concat_ws(
            ', ', answer.set_id || ' ' || answer.control_number, 'group ' || answer.group_control_number,
            answer.reference_qualifier || ' ' || answer.reference
        ) as named_words,
        answer.errors,
        answer.admitted_at,
        answer.correlation_id
    from {{ ref('stg_carriers__edi_answers') }} as answer
    inner join named on named.record_id = answer.record_id
)

select
    links.*,
    coalesce(sent.invoice_number, bill.invoice_number, links.shipment_id, links.named_words) as about
from links
left join {{ ref('edi_sent') }} as sent on sent.outbox_id = links.outbox_id
left join {{ ref('carrier_invoice') }} as bill on bill.carrier_invoice_id = links.carrier_invoice_id
