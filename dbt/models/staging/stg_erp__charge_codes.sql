with admitted as ({{ admitted('charge_code', 'erp.charge_code') }}),

renamed as (
    select
        record_id,
        correlation_id,
        charge_code_id,
        version,
        coalesce(nullif(scac, ''), '*') as scac,
        partner_code,
        charge_code,
        description,
        ledger_account,
        valid_from as valid_from_on,
        valid_to as valid_to_on,
        changed_at,
        admitted_at
    from admitted
)

select * from renamed
