with admitted as (
    select landed.*, batch.opened_at
    from {{ source('landing', 'trial_balance') }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = 'erp.trial_balance' and admission.record_id = landed.record_id
    inner join {{ source('landing', 'batch') }} as batch on batch.batch_id = landed.batch_id
),

renamed as (
    select
        record_id,
        document_id,
        correlation_id,
        period,
        account,
        currency,
        through_sequence,
        debit,
        credit,
        as_of,
        opened_at as read_at
    from admitted
)

select * from renamed
