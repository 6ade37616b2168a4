{{ config(
    materialized='incremental',
    unique_key=['rate_id', 'version'],
    tags=['master'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.tax_rate', 'column': 'rate_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__tax_rates'), 'rate_id', 'erp.tax_rate',
    [
        'country',
        'region',
        'postal_code',
        'jurisdiction',
        'rate_class',
        'rate_percent',
        'valid_from_on',
        'valid_to_on'
    ]
) }}
