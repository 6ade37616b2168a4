{{ config(
    materialized='incremental',
    unique_key=['dispute_id'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}, {'columns': ['invoice_number']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.touched_payments', 'aggregate_type': 'customer_dispute', 'column': 'dispute_id'
        }
    },
) }}

with newest as (
    select distinct on (dispute_id) *
    from {{ ref('stg_erp__disputes') }}
    where {{ in_scope('dispute_id', ref('touched_payments'), 'customer_dispute') }}
    order by dispute_id, version desc, changed_at desc, record_id desc
),

numbers as (
    select distinct invoice_number as number from newest
),

resolved as (
    select
        number,
        jsonb_agg(customer_invoice_id order by customer_invoice_id) as candidates,
        case when count(*) = 1 then min(customer_invoice_id) end as customer_invoice_id
    from {{ invoices_by_number('numbers') }} as found
    group by number
)

select
    newest.dispute_id,
    newest.version,
    newest.customer_id,
    newest.invoice_number,
    resolved.customer_invoice_id,
    coalesce(resolved.candidates, '[]'::jsonb) as candidates,
    newest.line_kind,
    newest.order_line,
    newest.reason_code,
    newest.status,
    newest.credit_memo_number,
    newest.note,
    newest.currency,
    newest.disputed_amount,
    case when newest.status = 'credited' then coalesce(newest.credited_amount, newest.disputed_amount) end
    as credited_amount,
    newest.opened_on,
    newest.resolved_on,
    newest.changed_at,
    newest.record_id,
    newest.correlation_id,
    newest.admitted_at,
    '{{ run_id() }}'::text as changed_in_run
from newest
left join resolved on resolved.number = newest.invoice_number
