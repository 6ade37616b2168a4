with charges as not materialized (
    select
        line.*,
        split_part(line.carrier_invoice_id, ':', 2) as record_id
    from {{ ref('invoice_line_verdict') }} as line
    where line.is_posted
),

-- an expense is posted charge by charge, landed cost order line by order line
posted as not materialized (
    select
        charges.*,
        '' as order_id,
        0 as order_line,
        '' as line_key,
        expense_account as cost_account,
        paid_amount - claimed_amount + recovered_amount as cost_amount,
        round((paid_amount - claimed_amount + recovered_amount) * exchange_rate, 2) as cost_functional_amount,
        reversal_amount as taken_back_amount,
        reversal_functional_amount as taken_back_functional_amount,
        exchange_difference_amount as difference_amount
    from charges
    where coalesce(treatment, '') <> 'landed_cost'
    union all
    select
        charges.*,
        cost.order_id,
        cost.order_line,
        case when cost.order_id <> '' then '|' || cost.order_id || '|' || cost.order_line else '' end || part.suffix
        as line_key,
        case when part.is_sold then charges.sold_account else charges.expense_account end as cost_account,
        case when part.is_sold then cost.sold_share else cost.cost_share - cost.sold_share end as cost_amount,
        case
            when part.is_sold then cost.sold_functional_share
            else cost.cost_functional_share - cost.sold_functional_share
        end as cost_functional_amount,
        case when part.is_sold then 0 else cost.reversal_share end as taken_back_amount,
        case when part.is_sold then 0 else cost.reversal_functional_share end as taken_back_functional_amount,
        case
            when part.is_sold then cost.sold_exchange_difference_share
            else cost.exchange_difference_share - cost.sold_exchange_difference_share
        end as difference_amount
    from charges
    inner join {{ ref('invoice_cost') }} as cost
        on cost.carrier_invoice_id = charges.carrier_invoice_id
        and cost.shipment_id = charges.shipment_id and cost.charge_code = charges.charge_code
    -- what is still there, and what was sold: of the accrual only the first is taken back, as it was accrued
    cross join (values (false, ''), (true, '|sold')) as part (is_sold, suffix)
    where charges.treatment = 'landed_cost'
),

transfers as (
    select
        posted.*,
        'payable|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code || line_key as effect_key,
        'supplier_invoice'::text as document_type,
        cost_account as to_debit,
        payable_account as to_credit,
        cost_amount as signed_amount,
        cost_functional_amount as signed_functional_amount,
        verdict || ': ' || reason as effect_reason
    from posted
    union all
    -- a credit takes what was claimed out of the books as it went in; what the rate did since is no claim
    select
        posted.*,
        case when leg.is_exchange then 'exchange|' else '' end
        || 'claim|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code as effect_key,
        case when leg.is_exchange then 'journal' else 'supplier_invoice' end as document_type,
        claim_account as to_debit,
        case
            when not leg.is_exchange then payable_account
            when difference_amount > 0 then gain_account
            else loss_account
        end as to_credit,
        case when leg.is_exchange then 0.00 else claimed_amount - recovered_amount end as signed_amount,
        case
            when leg.is_exchange then difference_amount
            else round((claimed_amount - recovered_amount) * exchange_rate, 2)
        end as signed_functional_amount,
        case
            when leg.is_exchange then 'the rate moved between claim and credit'
            else case when claimed_amount > 0 then 'paid and claimed back: ' else 'credited for a claim: ' end || reason
        end as effect_reason
    from (
        select
            claims.*,
            '' as order_id,
            0 as order_line,
            '' as line_key,
            '' as cost_account,
            0.00 as cost_amount,
            0.00 as cost_functional_amount,
            0.00 as taken_back_amount,
            0.00 as taken_back_functional_amount,
            coalesce(
                {{ exchange_difference('book.book_amount', 'round(part.amount * part.exchange_rate, 2)') }}, 0
            ) as difference_amount
        from charges as claims
        left join lateral (
            select
                claims.shipment_id,
                claims.charge_code,
                claims.currency,
                claims.recovered_amount as amount,
                claims.exchange_rate,
                claims.business_order,
                null::bigint as event_id
            where claims.recovered_amount <> 0 and claims.currency <> claims.functional_currency
        ) as part on true
        left join lateral {{ claim_book('part') }} as book on part.amount is not null
        where claims.claimed_amount <> 0 or claims.recovered_amount <> 0
    ) as posted
    cross join (values (false), (true)) as leg (is_exchange)
    where not leg.is_exchange or difference_amount <> 0
    union all
    select
        posted.*,
        'accrual|' || shipment_id || '|' || charge_code || line_key as effect_key,
        'journal'::text as document_type,
        accrued_account as to_debit,
        expense_account as to_credit,
        taken_back_amount as signed_amount,
        taken_back_functional_amount as signed_functional_amount,
        -- a planned discount is below zero, and so is what a bill takes back of it
        case when sign(taken_back_amount) = sign(planned_amount) then 'billed by ' else 'owed again after ' end
        || invoice_number as effect_reason
    from posted
    union all
    -- it has no amount in its own currency
    select
        posted.*,
        'exchange|' || scac || '|' || invoice_number || '|' || shipment_id || '|' || charge_code || line_key as effect_key,
        'journal'::text as document_type,
        case when difference_amount > 0 then loss_account else gain_account end as to_debit,
        cost_account as to_credit,
        0.00 as signed_amount,
        difference_amount as signed_functional_amount,
        'the rate moved between accrual and bill' as effect_reason
    from posted
    where difference_amount <> 0
)

select
    effect_key,
    'invoice|' || record_id || '|' || shipment_id || '|' || charge_code as cause,
    'carrier_invoice'::text as aggregate_type,
    carrier_invoice_id as aggregate_id,
    case when is_forward then to_debit else to_credit end as debit_account,
    case when is_forward then to_credit else to_debit end as credit_account,
    currency,
    abs(signed_amount)::numeric(18, 2) as amount,
    functional_currency,
    abs(signed_functional_amount)::numeric(18, 2) as functional_amount,
    'erp'::text as target,
    document_type,
    'bulk'::text as lane,
    settlement_rule_id as rule_id,
    settlement_rule_version as rule_version,
    effect_reason as reason,
    correlation_id,
    jsonb_build_object(
        'shipment_id', substr(shipment_id, 5),
        'charge_code', charge_code,
        'scac', scac,
        'invoice_number', invoice_number,
        'invoice_on', invoice_on,
        'correction', correction,
        'business_unit', business_unit
    )
    || case
        when order_id <> ''
            then jsonb_build_object('order_number', {{ order_number_of('order_id') }}, 'order_line', order_line)
        else '{}'::jsonb
    end as attributes
from (
    select *, signed_amount > 0 or (signed_amount = 0 and signed_functional_amount > 0) as is_forward
    from transfers
) as directed
where signed_amount <> 0 or signed_functional_amount <> 0
