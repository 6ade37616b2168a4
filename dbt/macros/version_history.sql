{#
  Master data with its history: one row per version, valid from its change until the next version's, half open.
  Of two records that say the same version, the one changed last counts.
#}
{% macro version_history(staged, key, feed, attributes) %}
with versions as (
    select distinct on ({{ key }}, version) *
    from {{ staged }}
    where {{ in_scope(key, ref('scope_sync_master_data'), feed) }}
    order by {{ key }}, version, changed_at desc, record_id desc
)

select
    {{ key }},
    version,
    {%- for attribute in attributes %}
    {{ attribute }},
    {%- endfor %}
    changed_at as valid_from,
    lead(changed_at) over (partition by {{ key }} order by version) as valid_to,
    lead(version) over (partition by {{ key }} order by version) is null as is_current,
    correlation_id,
    '{{ run_id() }}'::text as changed_in_run
from versions
{% endmacro %}
