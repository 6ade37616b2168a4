{{ config(materialized='view', tags=['static']) }}

select
    scac,
    partner_code,
    charge_code,
    ledger_account,
    coalesce(valid_from_on, '-infinity'::date) as valid_from,
    coalesce(valid_to_on, 'infinity'::date) as valid_to
from {{ ref('charge_code') }}
where is_current
