{#
  What was told of customers' payments, newest word of each, as the last of three named parts (`told`) of a `with`: of the
  bank, entries that bring money or take it back; of the ERP, payments of customers.
#}
{% macro told_payments() -%}
bank as (
    select distinct on (payment_id) *
    from {{ ref('stg_bank__entries') }}
    where {{ in_scope('payment_id', ref('touched_payments'), 'customer_payment') }}
    order by payment_id, statement_on desc nulls last, record_id desc
),

erp as (
    select distinct on (payment_id) *
    from {{ ref('stg_erp__payments') }}
    where party_kind = 'customer' and {{ in_scope('payment_id', ref('touched_payments'), 'customer_payment') }}
    order by payment_id, version desc, changed_at desc, record_id desc
),

told as (
    select
        payment_id,
        'bank'::text as channel,
        record_id,
        account,
        end_to_end_id,
        bank_reference,
        counterparty_name as payer_name,
        counterparty_account as payer_account,
        null::text as party_id,
        signed_amount as amount,
        currency,
        value_on as paid_on,
        documents,
        remittance_text,
        direction = 'debit' as is_return,
        return_reason as reason_given,
        status = 'BOOK' as is_booked,
        false as is_reversed,
        correlation_id,
        admitted_at
    from bank
    -- money that comes, and money that came and goes back
    where (direction = 'credit') = (not is_reversal and return_reason is null)
    union all
    select
        payment_id,
        'erp',
        record_id,
        null,
        null,
        bank_reference,
        null,
        null,
        party_id,
        amount,
        currency,
        paid_on,
        documents,
        null,
        false,
        short_reason,
        true,
        is_reversed,
        correlation_id,
        admitted_at
    from erp
)
{%- endmacro %}
