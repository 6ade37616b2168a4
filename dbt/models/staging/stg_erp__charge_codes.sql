with admitted as (
    select landed.*, admission.admitted_at
    from {{ source('landing', 'charge_code') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.charge_code' and admission.record_id = landed.record_id
),

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
