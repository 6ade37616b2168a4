select
    verdict.payment_id,
    verdict.channel,
    verdict.customer_id,
    verdict.payer_name,
    verdict.account,
    verdict.end_to_end_id,
    verdict.paid_on,
    verdict.currency,
    verdict.amount as payment_amount,
    substr(replace(applied.customer_invoice_id, '/tms:', '/'), 5) as customer_invoice,
    applied.matched_by,
    applied.owed_amount,
    coalesce(applied.applied_amount, 0)::numeric(18, 2) as applied_amount,
    coalesce(applied.written_off_amount, 0)::numeric(18, 2) as written_off_amount,
    case when row_number() over in_payment = 1 then verdict.unapplied_amount else 0 end::numeric(18, 2)
    as unapplied_amount,
    verdict.verdict as payment_verdict,
    coalesce(applied.verdict, 'not_applied') as verdict,
    verdict.is_exception,
    case when applied.payment_id is null then verdict.reason else concat_ws('; ', applied.reason, case
        when verdict.is_exception then verdict.reason
    end) end as reason,
    verdict.is_posted,
    coalesce(applied.rule_id, verdict.rule_id) as rule_id,
    coalesce(applied.rule_version, verdict.rule_version) as rule_version,
    verdict.correlation_id
from {{ ref('payment_verdict') }} as verdict
left join {{ ref('payment_application') }} as applied on applied.payment_id = verdict.payment_id
window in_payment as (partition by verdict.payment_id order by applied.customer_invoice_id)
