{#
  What was billed, from the log: one row an invoice and currency. `needed` names a relation with the invoices' ids, so
  that a run reads those alone; none: all of them.
#}
{% macro customer_invoices(needed=none) %}
(
    select
        movement.aggregate_id as customer_invoice_id,
        movement.currency,
        (array_agg(movement.attributes ->> 'customer_id' order by movement.movement_id desc))[1] as customer_id,
        (array_agg(movement.attributes ->> 'order_number' order by movement.movement_id desc))[1] as order_number,
        min((movement.attributes ->> 'invoice_on')::date) as invoice_on,
        max(case when movement.reverses then movement.credit_account else movement.debit_account end)
        as receivable_account,
        sum(case when movement.reverses then -movement.amount else movement.amount end)::numeric(18, 2)
        as invoiced_amount,
        max(movement.functional_currency) as functional_currency,
        sum(case when movement.reverses then -movement.functional_amount else movement.functional_amount end)::numeric(18, 2)
        as invoiced_functional_amount,
        min(movement.made_at) as invoiced_at,
        (array_agg(movement.correlation_id order by movement.movement_id))[1] as correlation_id
    from {{ source('effects', 'movement') }} as movement
    {%- if needed %}
    inner join {{ needed }} as needed on needed.customer_invoice_id = movement.aggregate_id
    {%- endif %}
    where movement.relation = 'movement__customer_invoices' and movement.aggregate_type = 'customer_invoice'
    group by movement.aggregate_id, movement.currency
)
{% endmacro %}

{# How numbers are compared: without case and punctuation. #}
{% macro normalized(number) -%}
    upper(regexp_replace({{ number }}, '[^A-Za-z0-9]', '', 'g'))
{%- endmacro %}

{#
  The invoices that a number may mean: the ERP's number of any document about them, then the name that we gave
  (order/shipment, or order), then the order's number. The first of these keys that finds anything decides. `numbers`
  names a relation (number).
#}
{% macro invoices_by_number(numbers) %}
(
    select distinct
        found.number,
        found.key,
        found.customer_invoice_id
    from (
        select
            candidate.*,
            min(candidate.rank) over (partition by candidate.number) as first_rank
        from (
            select
                given.number,
                'erp_number'::text as key,
                1 as rank,
                document.aggregate_id as customer_invoice_id
            from {{ numbers }} as given
            inner join {{ source('effects', 'outcome') }} as outcome
                on {{ normalized('outcome.reference') }} = {{ normalized('given.number') }}
                and outcome.outcome = 'accepted' and outcome.reference <> ''
            inner join {{ source('effects', 'outbox') }} as document
                on document.outbox_id = outcome.outbox_id and document.aggregate_type = 'customer_invoice'
            union all
            select
                given.number,
                'our_name',
                2,
                movement.aggregate_id
            from {{ numbers }} as given
            inner join {{ source('effects', 'movement') }} as movement
                on movement.aggregate_id
                = 'erp:' || regexp_replace(given.number, '/', '/tms:')
                and movement.relation = 'movement__customer_invoices'
            union all
            select
                given.number,
                'order_number',
                3,
                delivery.customer_invoice_id
            from {{ numbers }} as given
            inner join {{ ref('delivery') }} as delivery on delivery.order_id = 'erp:' || given.number
            where exists (
                select 1
                from {{ source('effects', 'movement') }} as movement
                where
                    movement.aggregate_id = delivery.customer_invoice_id
                    and movement.relation = 'movement__customer_invoices'
            )
        ) as candidate
    ) as found
    where found.rank = found.first_rank
)
{% endmacro %}

{# The amount of a document in JSON; a record that was let in by hand may hold anything. #}
{% macro document_amount(document) -%}
    case
        when {{ document }} ->> 'amount' ~ '^-?[0-9]{1,12}([.][0-9]{1,2})?$' then ({{ document }} ->> 'amount')::numeric(18, 2)
    end
{%- endmacro %}
