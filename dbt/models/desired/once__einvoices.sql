-- An e-invoice for each document that a customer is billed or credited with, where its tax profile in the ERP asks for
-- them (attribute `einvoice`: the profile, or yes for the usual one of the seller's country).
select
    'einvoice|' || document.journal_id as occurrence_key,
    'customer_invoice'::text as aggregate_type,
    document.aggregate_id,
    'access_point'::text as target,
    'einvoice'::text as operation,
    'bulk'::text as lane,
    jsonb_build_object(
        'journal_id', document.journal_id, 'customer_id', billed.customer_id, 'profile', asking.profile
    ) as payload,
    'einvoice.where_the_customer_asks'::text as rule_id,
    '1'::text as rule_version,
    billed.customer_id || ' wants ' || document.aggregate_id || ' as an e-invoice' as reason,
    document.correlation_id
from {{ source('effects', 'document') }} as document
cross join lateral (
    select movement.attributes ->> 'customer_id' as customer_id
    from {{ source('effects', 'movement') }} as movement
    where movement.journal_id = document.journal_id and movement.attributes ->> 'customer_id' is not null
    limit 1
) as billed
cross join lateral (
    select version.attributes ->> 'einvoice' as profile
    from {{ ref('stg_erp__tax_profiles') }} as version
    where version.profile_id = 'customer:' || billed.customer_id
    order by version.version desc
    limit 1
) as asking
where
    document.kind = 'movement' and document.operation in ('customer_invoice', 'credit_memo')
    and asking.profile is not null
