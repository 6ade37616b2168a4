{{ config(
    materialized='incremental',
    unique_key=['ship_to_id', 'version'],
    tags=['master'],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.ship_to', 'column': 'ship_to_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__ship_tos'), 'ship_to_id', 'erp.ship_to',
    [
        'customer_id',
        'ship_to_name',
        'city',
        'state',
        'postal_code',
        'country',
        'time_zone'
    ]
) }}
