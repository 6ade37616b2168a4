{{ config(materialized='view', tags=['static']) }}

-- of each period, the newest reading as a whole: a line that it lacks is no longer there
with readings as (
    select distinct on (period) period, document_id
    from {{ ref('stg_erp__trial_balances') }}
    order by period, as_of desc, document_id desc
)

select
    balance.period,
    balance.account,
    balance.currency,
    balance.debit,
    balance.credit,
    balance.through_sequence,
    balance.as_of,
    balance.read_at,
    balance.correlation_id
from {{ ref('stg_erp__trial_balances') }} as balance
inner join readings on readings.document_id = balance.document_id and readings.period = balance.period
