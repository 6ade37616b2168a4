{{ config(
    materialized='incremental',
    unique_key=['carrier_id', 'version'],
    tags=['master'],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.carrier', 'column': 'carrier_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__carriers'), 'carrier_id', 'erp.carrier',
    [
        'scac',
        'carrier_name',
        'channel',
        'carrier_currency'
    ]
) }}
