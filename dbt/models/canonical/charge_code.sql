{{ config(
    materialized='incremental',
    unique_key=['charge_code_id', 'version'],
    tags=['master'],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.charge_code', 'column': 'charge_code_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__charge_codes'), 'charge_code_id', 'erp.charge_code',
    [
        'scac',
        'partner_code',
        'charge_code',
        'description',
        'ledger_account',
        'valid_from_on',
        'valid_to_on'
    ]
) }}
