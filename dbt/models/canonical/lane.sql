{{ config(
    materialized='incremental',
    unique_key=['lane_id', 'version'],
    tags=['master'],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'tms.lane', 'column': 'lane_id'}
    },
) }}

{{ version_history(
    ref('stg_tms__lanes'), 'lane_id', 'tms.lane',
    [
        'origin_postal',
        'destination_postal',
        'scac',
        'equipment',
        'transit_days'
    ]
) }}
