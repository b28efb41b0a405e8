{{ config(materialized='ephemeral') }}
select region_id as region, count(*) as accounts, max(id) as last
from {{ source('company', 'accounts') }}
group by region_id
