{{ config(
    materialized='incremental',
    unique_key=['item_id', 'version'],
    tags=['master'],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.item', 'column': 'item_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__items'), 'item_id', 'erp.item',
    [
        'description',
        'unit_weight_lb',
        'pallet_length_in',
        'pallet_width_in',
        'pallet_height_in',
        'is_hazmat',
        'un_number'
    ]
) }}
