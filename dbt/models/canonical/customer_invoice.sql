{{ config(materialized='view', tags=['static']) }}

select *
from {{ customer_invoices() }} as invoice
