{{ config(materialized='view') }}
select * from {{ ref('accounts_by_region') }}
