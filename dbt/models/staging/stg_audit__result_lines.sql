with results as (
    select record_id, admitted_at
    from {{ ref('stg_audit__results') }}
),

renamed as (
    select
        results.record_id,
        landed.line,
        landed.partner_code,
        landed.description,
        landed.billed_amount,
        landed.audited_amount,
        nullif(btrim(landed.reason_code), '') as reason_code,
        nullif(btrim(landed.reason), '') as reason,
        results.admitted_at
    from {{ source('landing', 'audit_result_line') }} as landed
    inner join results on results.record_id = landed.record_id
)

select * from renamed
