{#
  Records of a table of landing that the gate let in, and when. feed: theirs; none: each names its own (`source`). A join,
  which PostgreSQL plans as it likes: bulk feeds ask for their admissions by key instead (stg_carriers__invoices).
#}
{% macro admitted(table, feed=none) %}
    select landed.*, admission.admitted_at
    from {{ source('landing', table) }} as landed
    inner join {{ source('quality', 'admission') }} as admission
        on admission.feed = {{ "'" ~ feed ~ "'" if feed else 'landed.source' }}
        and admission.record_id = landed.record_id
{% endmacro %}
