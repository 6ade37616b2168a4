{#
  What a run writes, in one round trip: no temporary table where nothing of the run's scope is stored yet, which is the
  rule for what came in, nor for a table of scopes; columns and their types are the contract's, which the deployment
  held against the query. That build, one of everything, and the first one of a table are left to dbt.
#}
{% materialization incremental, adapter='postgres' -%}
    {%- if run_id() == '' or not is_incremental() -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {%- set names = model.columns.values() | map(attribute='name') | list -%}

    {{ run_hooks(pre_hooks) }}
    {%- call statement('main') -%}
        {{ written_by_a_run(this, names, sql) }}
    {%- endcall -%}
    {{ run_hooks(post_hooks) }}
    {%- do adapter.commit() -%}
    {{ return({'relations': [this]}) }}
{%- endmaterialization %}

{% macro written_by_a_run(target, names, sql) -%}
    {%- set query = '(' ~ sql ~ '\n)' -%}
    {%- if config.get('incremental_strategy') == 'run_scope' -%}
        {{ return(run_scope_sql(target, names, query)) }}
    {%- endif -%}
    {%- set all_new = is_all_new(target) -%}
    {%- if all_new -%}
        {{ return(all_new_sql(target, names, query, all_new == 'many')) }}
    {%- endif -%}
    {%- set built = target.identifier ~ '__built' -%}
    create temporary table {{ built }} (like {{ target }}) on commit drop;
    {{ all_new_sql(built, names, query, true) }};
    {{ scoped_sql(target, names, built) }}
{%- endmacro %}

{#
  'few' or 'many' where a run's scope has no row in the table yet; many: so many that the table's statistics say nothing
  of it any more. Only of models whose scope begins their key: of others a row of the same key may be stored outside of
  it. The table is asked id by id, by its index: a join would be planned by statistics that have not heard of what came
  since.
#}
{% macro is_all_new(target) -%}
    {%- set scoped = config.get('meta', {}).get('scope') -%}
    {%- set keys = config.get('unique_key') or [] -%}
    {%- if run_id() == '' or not scoped or scoped['column'] != ([keys] if keys is string else keys) | first -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set ids = scope(scoped['relation'], scoped['aggregate_type']) -%}
    {%- set found = run_query(
        'select exists (select 1 from (' ~ ids ~ ' offset 0) as touched cross join lateral (select 1 from ' ~ target
        ~ ' as old where old.' ~ scoped['column'] ~ ' = touched.aggregate_id limit 1) as found), '
        ~ '(select count(*) from (' ~ ids ~ ' limit ' ~ many_in_scope() ~ ') as few)'
    ).rows[0] -%}
    {%- if found[0] -%}
        {{ return(none) }}
    {%- endif -%}
    {{ return('many' if found[1] >= many_in_scope() and not holds_far_more(target, ids) else 'few') }}
{%- endmacro %}

{% macro many_in_scope() -%}
    {{ return(10000) }}
{%- endmacro %}

{# Where much comes in, later models must not plan for a table that is as empty as it was before. #}
{% macro all_new_sql(target, names, query, is_bulk) -%}
    insert into {{ target }} ({{ names | join(', ') }})
    select {{ names | join(', ') }}
    from {{ query }} as new
    {%- if is_bulk %};
    analyze {{ target }}
    {%- endif %}
{%- endmacro %}
