{#
  What a run works on. Every pipeline has a relation `decisions.scope_<consumer>(run_id, aggregate_type, aggregate_id)`:
  what was touched, widened to everything whose result may change with it.
#}

{% macro run_id() -%}
    {{ return(var('run_id', '') or '') }}
{%- endmacro %}

{# True where only the claimed aggregates are to be rebuilt; false: everything (no run, or the table is made anew). #}
{% macro is_scoped() -%}
    {{ return(run_id() != '' and is_incremental()) }}
{%- endmacro %}

{# The ids in a run's scope, as a query. #}
{% macro scope(relation, aggregate_type) -%}
    select scope.aggregate_id
    from {{ relation }} as scope
    where scope.run_id = '{{ run_id() }}' and scope.aggregate_type = '{{ aggregate_type }}'
{%- endmacro %}

{#
  A condition for `where`: the column holds an aggregate of this run's scope. Few are written into the statement: of a
  subquery PostgreSQL does not know how little it gives, and reads all that is stored (measured: 20 shipments of 20,000
  cost ten readings of all plans a build). Many stay a subquery, which is joined.

  indexed: the table of the column, which has an index on it, in a query that is planned alike however many rows this
  gives. Where it holds far more than the scope, PostgreSQL makes the ids first and asks the index, whatever it expects.
#}
{% macro in_scope(column, relation, aggregate_type, indexed=none) -%}
    {%- if not is_scoped() -%}
        true
    {%- else -%}
        {#- the sign before an id keeps it a text: '007' would come back as a number -#}
        {%- set few = "select '=' || few.aggregate_id from (" ~ scope(relation, aggregate_type) ~ ") as few" -%}
        {%- set found = run_query(few ~ ' limit ' ~ (var('few_in_scope') + 1)) if execute -%}
        {%- set ids = found.columns[0].values() if found else [] -%}
        {%- if execute and ids | length <= var('few_in_scope') -%}
            {{ column }} = any(array[
                {%- for id in ids %}{{ ', ' if not loop.first }}'{{ id[1:] | replace("'", "''") }}'{% endfor -%}
            ]::text[])
        {%- elif execute and indexed and holds_far_more(indexed, scope(relation, aggregate_type)) -%}
            {{ column }} = any(array({{ scope(relation, aggregate_type) }}))
        {%- else -%}
            {{ column }} in ({{ scope(relation, aggregate_type) }})
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{#
  What follows `join` and joins what a run works on with a table by its key: keys, column → what it is; also: a condition
  beside. Where the table holds far more than the scope its index is asked row by row; a join PostgreSQL would plan by
  reading all that is stored (measured: three of thirteen seconds of 10,000 bills onto a million). Of what comes of it
  PostgreSQL has no statistics: grouped by it, rows are expected to be very few, and what follows is planned for that.
#}
{% macro by_key(table, alias, keys, relation, aggregate_type, also='') -%}
    {%- set and_also = ' and ' ~ also if also else '' -%}
    {%- if is_scoped() and execute and holds_far_more(table, scope(relation, aggregate_type)) -%}
        lateral (
            select one.* from {{ table }} as one where {{ same_key('one', keys) }} offset 0
        ) as {{ alias }} on true{{ and_also }}
    {%- else -%}
        {{ table }} as {{ alias }} on {{ same_key(alias, keys) }}{{ and_also }}
    {%- endif -%}
{%- endmacro %}

{% macro same_key(alias, keys) -%}
    {%- for column, value in keys.items() -%}
        {{ ' and ' if not loop.first }}{{ alias }}.{{ column }} = {{ value }}
    {%- endfor -%}
{%- endmacro %}

{#
  A post-hook: an index of few rows, which dbt's own indexes can't be. Deployments make it, anew each time, for a table that
  is made anew has its predecessor beside it under the index's name; a run doesn't ask for the lock.
#}
{% macro index_where(column, condition) -%}
    {%- if run_id() == '' -%}
        {%- set name = this.identifier ~ '_waiting' -%}
        drop index if exists {{ this.schema }}.{{ name }};
        create index {{ name }} on {{ this }} ({{ column }}) where {{ condition }}
    {%- endif -%}
{%- endmacro %}

{% macro holds_far_more(table, ids) -%}
    {{ return(run_query(
        "select (select reltuples from pg_class where oid = '" ~ table ~ "'::regclass) > " ~ var('indexed_scope_ratio')
        ~ " * (select count(*) from (" ~ ids ~ ") as ids)"
    ).rows[0][0]) }}
{%- endmacro %}

{#
  Incremental strategy `scoped`: inside the scope the table becomes what the query says; a row whose business content is
  the same is not written again, a row that the query no longer gives is deleted. `changed_in_run` names the run that
  last changed the row: downstream pipelines are told about those rows only. A run that died after building and before
  telling them is over (its row in ops.run was never finished): whoever builds its aggregates again takes over its
  changes. So it is with what a deployment's build of everything changed (no run): nobody was told of it.

  config: unique_key = the grain; meta.scope = {relation, aggregate_type, column}.
#}
{% macro get_incremental_scoped_sql(arg_dict) %}
    {%- set built = arg_dict['temp_relation'] -%}
    analyze {{ built }};

    {{ scoped_sql(arg_dict['target_relation'], arg_dict['dest_columns'] | map(attribute='name') | list, built) }}
{% endmacro %}

{% macro scoped_sql(target, names, built) -%}
    {%- set unique_key = config.get('unique_key') -%}
    {%- set keys = [unique_key] if unique_key is string else unique_key -%}
    {%- set content = names | reject('in', keys + ['changed_in_run']) | list -%}
    {%- set scoped = config.get('meta', {}).get('scope') -%}
    {%- set same_key -%}
        {%- for key in keys %}{{ ' and ' if not loop.first }}old.{{ key }} = new.{{ key }}{% endfor -%}
    {%- endset -%}

    delete from {{ target }} as old
    where {% if scoped and run_id() != '' -%}
            old.{{ scoped['column'] }} in ({{ scope(scoped['relation'], scoped['aggregate_type']) }}) and
        {%- endif %}
        not exists (select 1 from {{ built }} as new where {{ same_key }});

    merge into {{ target }} as old
    using {{ built }} as new
    on {{ same_key }}
    when matched and (
        {%- if content %}
        ({% for name in content %}{{ ', ' if not loop.first }}old.{{ name }}{% endfor %})
        is distinct from ({% for name in content %}{{ ', ' if not loop.first }}new.{{ name }}{% endfor %})
        {%- else %} false {%- endif %}
        {%- if 'changed_in_run' in names and run_id() != '' %}
        or (old.changed_in_run <> new.changed_in_run
            and (old.changed_in_run = ''
                or exists (select 1 from ops.run as died
                           where died.consumer = '{{ config.get('meta', {}).get('consumer', '') }}'
                           and died.run_id = old.changed_in_run and died.finished_at is null)))
        {%- endif %}
    ) then update set
        {%- for name in names if name not in keys %}
        {{ name }} = new.{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    when not matched then insert ({{ names | join(', ') }})
        values ({% for name in names %}{{ ', ' if not loop.first }}new.{{ name }}{% endfor %});
{% endmacro %}

{#
  Incremental strategy `run_scope`: a table of scopes holds those of runs that are still under way. Another run's scope is
  not touched while that run may be planning from it.
#}
{% macro get_incremental_run_scope_sql(arg_dict) %}
    {{ run_scope_sql(
        arg_dict['target_relation'], arg_dict['dest_columns'] | map(attribute='name') | list, arg_dict['temp_relation']
    ) }}
{% endmacro %}

{% macro run_scope_sql(target, names, query) -%}
    {%- set goes_on -%}
        exists (
            select 1 from ops.run as going
            where going.consumer = '{{ config.get('meta', {}).get('consumer', '') }}'
                and going.run_id = old.run_id and going.finished_at is null
        )
    {%- endset -%}
    {%- if is_outworn(target, goes_on) %}
    truncate {{ target }};
    {%- else %}
    delete from {{ target }} as old
    where old.run_id = '{{ run_id() }}' or not {{ goes_on }};
    {%- endif %}
    insert into {{ target }} ({{ names | join(', ') }})
    select {{ names | join(', ') }}
    from {{ query }} as new;
    analyze {{ target }};
{%- endmacro %}

{#
  A large run leaves a large table of scopes: what is deleted is still read, by each model several times, until it is
  vacuumed (measured: a third of the time of 10,000 bills after a million). Where nobody else's scope is in it, it is emptied.
  No other run of this consumer can come in between: builds of one consumer wait for one another.
#}
{% macro is_outworn(target, goes_on) -%}
    {%- if run_id() == '' or not execute -%}
        {{ return(false) }}
    {%- endif -%}
    {{ return(run_query(
        "select pg_relation_size('" ~ target ~ "'::regclass) > " ~ var('outworn_scope_bytes')
        ~ " and not exists (select 1 from " ~ target ~ " as old where old.run_id <> '" ~ run_id() ~ "' and " ~ goes_on ~ ")"
    ).rows[0][0]) }}
{%- endmacro %}
