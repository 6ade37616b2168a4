{#
  What a movement on an accrual account does to it: by the relation that asked for it. `first`: whether it is the first of
  its key and cause. What no relation of ours is known for is an adjustment, so that nothing falls out of a roll-forward.
#}
{% macro accrual_part(relation, first) -%}
case {{ relation }}
    when 'movement__accruals' then case when {{ first }} then 'accrued' else 'adjusted' end
    when 'movement__settlement' then 'reversed'
    when 'movement__accrual_releases' then 'released'
    when 'movement__revaluation' then 'revalued'
    else 'adjusted'
end
{%- endmacro %}

{# What an entry of the ledger that is about no shipment (a journal of the ERP's own people) is shown under. #}
{% macro or_none(column) -%}
coalesce({{ column }}, '(none)')
{%- endmacro %}
