-- At the period's end, and back on the first day of the next: what is settled then is compared with its original rate
-- alone, and each period stands by itself.
with entries as (
    select
        decided.*,
        decided.period as aggregate_id,
        'period_end|' || decided.period as cause,
        decided.revalued_on as posting_on,
        decided.difference as signed_amount,
        decided.reason as words
    from {{ ref('revaluation') }} as decided
    union all
    select
        decided.*,
        decided.period || '/reversal' as aggregate_id,
        'next_period|' || decided.period as cause,
        decided.revalued_on + 1 as posting_on,
        -decided.difference as signed_amount,
        'taken back on the first day after ' || decided.period || ': not realised' as words
    from {{ ref('revaluation') }} as decided
)

select
    'revaluation|' || period || '|' || item_kind || '|' || item_key || '|' || account as effect_key,
    cause,
    'revaluation'::text as aggregate_type,
    aggregate_id,
    -- the side of the loss or gain stays with the item's difference, also when it is taken back
    case
        when signed_amount < 0 then revaluation_account
        when difference > 0 then unrealised_loss_account
        else unrealised_gain_account
    end as debit_account,
    case
        when signed_amount > 0 then revaluation_account
        when difference > 0 then unrealised_loss_account
        else unrealised_gain_account
    end as credit_account,
    currency,
    0::numeric(18, 2) as amount,
    functional_currency,
    abs(signed_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    'journal'::text as document_type,
    'bulk'::text as lane,
    rule_id,
    rule_version,
    words as reason,
    null::text as correlation_id,
    jsonb_build_object(
        'item_kind', item_kind,
        'item_key', item_key,
        'account', account,
        'scac', scac,
        'shipment_id', case when item_kind in ('accrual', 'claim') then split_part(item_key, '|', 1) end,
        'charge_code', case when item_kind in ('accrual', 'claim') then split_part(item_key, '|', 2) end,
        'business_unit', business_unit,
        'posting_on', posting_on
    ) as attributes
from entries
where signed_amount <> 0
