{{ config(
    materialized='incremental',
    unique_key=['order_id', 'line'],
    tags=['master'],
    indexes=[{'columns': ['changed_in_run']}],
    meta={
        'consumer': 'sync_master_data',
        'scope': {
            'relation': 'decisions.scope_sync_master_data', 'aggregate_type': 'erp.purchase_order',
            'column': 'order_number'
        }
    },
) }}

with newest as (
    select distinct on (order_number) *
    from {{ ref('stg_erp__purchase_orders') }}
    where {{ in_scope('order_number', ref('scope_sync_master_data'), 'erp.purchase_order') }}
    order by order_number, version desc, changed_at desc, record_id desc
)

select
    newest.order_id,
    line.line,
    newest.order_number,
    newest.business_unit,
    line.item_id,
    line.quantity,
    line.unit_price,
    newest.currency,
    newest.correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from newest
cross join lateral jsonb_to_recordset(newest.lines) as line (
    line int, item_id text, quantity int, unit_price numeric(18, 4)
)
