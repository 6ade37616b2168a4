{{ config(
    materialized='incremental',
    unique_key=['profile_id', 'version'],
    tags=['master'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.tax_profile', 'column': 'profile_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__tax_profiles'), 'profile_id', 'erp.tax_profile',
    [
        'country',
        'region',
        'postal_code',
        'city',
        'street',
        'legal_name',
        'status',
        'tax_id',
        'tax_class',
        'certificates',
        'attributes',
        'endpoint',
        'endpoint_scheme',
        'buyer_reference'
    ]
) }}
