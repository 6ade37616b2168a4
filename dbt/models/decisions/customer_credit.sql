{{ config(
    materialized='incremental',
    unique_key=['dispute_id'],
    tags=['payments'],
    indexes=[{'columns': ['customer_invoice_id']}],
    meta={
        'consumer': 'apply_payments',
        'scope': {
            'relation': 'decisions.scope_claim_payments', 'aggregate_type': 'customer_dispute', 'column': 'dispute_id'
        }
    },
) }}

with disputes as (
    select *
    from {{ ref('customer_dispute') }}
    where {{ in_scope('dispute_id', ref('scope_claim_payments'), 'customer_dispute') }}
),

needed as (
    select distinct customer_invoice_id from disputes
    where customer_invoice_id is not null
),

cumulated as (
    select
        disputes.*,
        invoice.customer_id as invoice_customer_id,
        invoice.currency as invoice_currency,
        invoice.invoiced_amount,
        invoice.functional_currency,
        invoice.invoiced_functional_amount,
        invoice.invoice_on,
        sum(coalesce(disputes.credited_amount, 0)) over (
            partition by disputes.customer_invoice_id order by disputes.opened_on, disputes.dispute_id
        ) as credited_to
    from disputes
    left join {{ customer_invoices('needed') }} as invoice
        on invoice.customer_invoice_id = disputes.customer_invoice_id and invoice.currency = disputes.currency
),

judged as (
    select
        cumulated.*,
        rule.rule_id,
        rule.rule_version::text as rule_version,
        rule.account,
        case
            when cumulated.customer_invoice_id is null
                then case when cumulated.candidates = '[]'::jsonb then 'no_candidate' else 'several_candidates' end
            when cumulated.invoice_currency is null then 'currency_differs'
            when cumulated.customer_id <> cumulated.invoice_customer_id then 'customer_differs'
            when cumulated.status <> 'credited' then cumulated.status
            when cumulated.credited_to > cumulated.invoiced_amount then 'credit_exceeds_invoice'
            when cumulated.credit_memo_number is not null then 'credited_by_erp'
            when rule.rule_id is null then 'no_rule'
            else 'credited'
        end as verdict
    from cumulated
    left join lateral {{ rule_in_force(
        'credit_reason', ['newest.account'],
        "newest.reason_code in (cumulated.reason_code, '*')", "newest.reason_code <> '*' desc",
        'coalesce(cumulated.resolved_on, cumulated.opened_on)', 'cumulated.admitted_at'
    ) }} as rule on true
),

-- a credit takes back at the rate of the invoice: all of it, when all is credited
counted as (
    select
        judged.*,
        credited.amount as credit_amount,
        sum(credited.amount) over (
            partition by judged.customer_invoice_id, judged.currency order by judged.opened_on, judged.dispute_id
        ) as taken_to
    from judged
    cross join lateral (
        select case when judged.verdict in ('credited', 'credited_by_erp') then judged.credited_amount else 0 end as amount
    ) as credited
)

select
    dispute_id,
    customer_invoice_id,
    customer_id,
    invoice_number,
    line_kind,
    order_line,
    reason_code,
    currency,
    disputed_amount,
    credit_amount::numeric(18, 2) as credit_amount,
    functional_currency,
    {{ functional_step(
        'invoiced_amount', 'invoiced_functional_amount', 'taken_to - credit_amount', 'taken_to'
    ) }}::numeric(18, 2) as credit_functional_amount,
    verdict,
    case verdict
        when 'no_candidate' then 'no invoice is known as ' || invoice_number
        when 'several_candidates' then invoice_number || ' means more than one invoice'
        when 'currency_differs' then 'disputed in ' || currency || ', which the invoice is not in'
        when 'customer_differs' then 'disputed by ' || customer_id || ', billed to ' || invoice_customer_id
        when 'opened' then 'disputed for ' || reason_code || ' since ' || opened_on
        when 'upheld' then 'the claim ' || reason_code || ' was looked at; the invoice stands'
        when 'withdrawn' then 'the customer took the claim back'
        when 'credit_exceeds_invoice'
            then credited_to || ' would be credited in all, but only ' || invoiced_amount || ' was billed'
        when 'credited_by_erp' then 'the ERP credited it itself, as ' || credit_memo_number
        when 'no_rule' then 'no rule says what account a credit for ' || reason_code || ' goes to'
        else 'credited for ' || reason_code
    end as reason,
    verdict = 'credited' as is_posted,
    verdict in (
        'no_candidate', 'several_candidates', 'currency_differs', 'customer_differs', 'credit_exceeds_invoice', 'no_rule'
    ) as is_exception,
    account,
    opened_on,
    resolved_on,
    rule_id,
    rule_version,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from counted
