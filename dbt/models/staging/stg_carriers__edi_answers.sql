with admitted as ({{ admitted('edi_answer') }}),

renamed as (
    select
        record_id,
        correlation_id,
        partner,
        scac,
        kind,
        functional_id,
        case when group_control_number ~ '^[0-9]{1,9}$' then group_control_number::bigint end as group_number,
        group_control_number,
        set_id,
        control_number,
        reference_qualifier,
        reference,
        code,
        case
            when code in ('A', 'TA', 'IA') then 'accepted'
            when code in ('E', 'TE', 'IE', 'TC', 'IC') then 'accepted_with_errors'
            else 'rejected'
        end as verdict,
        errors,
        answered_on,
        admitted_at
    from admitted
)

select * from renamed
