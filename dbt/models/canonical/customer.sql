{{ config(
    materialized='incremental',
    unique_key=['customer_id', 'version'],
    tags=['master'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'sync_master_data',
        'scope': {'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.customer', 'column': 'customer_id'}
    },
) }}

{{ version_history(
    ref('stg_erp__customers'), 'customer_id', 'erp.customer',
    [
        'customer_name',
        'billing_entity',
        'payment_terms',
        'billing_currency',
        'freight_billing',
        'invoice_per',
        'markup_percent'
    ]
) }}
