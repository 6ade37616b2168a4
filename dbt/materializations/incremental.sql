{#
  dbt's own materialization writes what a query gives into a temporary table, and from there into the model's. Where
  nothing of the run's scope is stored yet, which is the rule for what came in, that is one writing too many, and the
  merge looks for rows that can't be there: such rows go in at once. A table of scopes gets its run's rows at once, too.

  Otherwise as dbt 1.11 has it (global_project/macros/materializations/models/incremental/incremental.sql), without
  what this project does not use.
#}
{% materialization incremental, adapter='postgres' -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set temp_relation = make_temp_relation(target_relation) -%}
    {%- set intermediate_relation = make_intermediate_relation(target_relation) -%}
    {%- set backup_relation_type = 'table' if existing_relation is none else existing_relation.type -%}
    {%- set backup_relation = make_backup_relation(target_relation, backup_relation_type) -%}
    {%- set full_refresh_mode = should_full_refresh() or existing_relation.is_view -%}
    {%- set on_schema_change = incremental_validate_on_schema_change(config.get('on_schema_change'), default='ignore') -%}
    {%- set strategy = config.get('incremental_strategy') -%}
    {%- set grant_config = config.get('grants') -%}

    {{ drop_relation_if_exists(load_cached_relation(intermediate_relation)) }}
    {{ drop_relation_if_exists(load_cached_relation(backup_relation)) }}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% set to_drop = [] %}
    {% set all_new = is_all_new(target_relation) if is_incremental() %}
    {% if existing_relation is none %}
        {% set build_sql = get_create_table_as_sql(False, target_relation, sql) %}
        {% set relation_for_indexes = target_relation %}
    {% elif full_refresh_mode %}
        {% set build_sql = get_create_table_as_sql(False, intermediate_relation, sql) %}
        {% set relation_for_indexes = intermediate_relation %}
        {% set need_swap = true %}
    {% elif strategy == 'run_scope' %}
        {% set columns = adapter.get_columns_in_relation(existing_relation) %}
        {% set build_sql = run_scope_sql(target_relation, columns, sql) %}
    {% elif all_new %}
        {% set columns = adapter.get_columns_in_relation(existing_relation) %}
        {% set build_sql = all_new_sql(target_relation, columns, sql, all_new == 'many') %}
    {% else %}
        {% do run_query(get_create_table_as_sql(True, temp_relation, sql)) %}
        {% set columns = process_schema_changes(on_schema_change, temp_relation, existing_relation)
            or adapter.get_columns_in_relation(existing_relation) %}
        {% set strategy_sql = adapter.get_incremental_strategy_macro(context, strategy or 'default') %}
        {% set build_sql = strategy_sql({
            'target_relation': target_relation, 'temp_relation': temp_relation,
            'unique_key': config.get('unique_key'), 'dest_columns': columns, 'incremental_predicates': none,
        }) %}
    {% endif %}

    {% call statement('main') %}
        {{ build_sql }}
    {% endcall %}

    {% if relation_for_indexes %}
        {% do create_indexes(relation_for_indexes) %}
    {% endif %}
    {% if need_swap %}
        {% do adapter.rename_relation(target_relation, backup_relation) %}
        {% do adapter.rename_relation(intermediate_relation, target_relation) %}
        {% do to_drop.append(backup_relation) %}
    {% endif %}

    {% do apply_grants(target_relation, grant_config, should_revoke=should_revoke(existing_relation, full_refresh_mode)) %}
    {% do persist_docs(target_relation, model) %}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {% do adapter.commit() %}
    {% for relation in to_drop %}
        {% do adapter.drop_relation(relation) %}
    {% endfor %}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}

{#
  'few' or 'many' where a run's scope has no row in the table yet, by the size of the scope. Only of models whose scope
  begins their key: of others a row of the same key may be stored outside of it. The table is asked id by id, by its
  index: a join would be planned by statistics that have not heard of what came since.
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
    {{ return(none if found[0] else ('many' if found[1] >= many_in_scope() else 'few')) }}
{%- endmacro %}

{% macro many_in_scope() -%}
    {{ return(10000) }}
{%- endmacro %}

{# Where much comes in, later models must not plan for a table that is as empty as it was before. #}
{% macro all_new_sql(target, columns, sql, is_bulk) -%}
    {%- set names = columns | map(attribute='name') | join(', ') -%}
    insert into {{ target }} ({{ names }})
    select {{ names }}
    from (
        {{ sql }}
    ) as new
    {%- if is_bulk %};
    analyze {{ target }}
    {%- endif %}
{%- endmacro %}
