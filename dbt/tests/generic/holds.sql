{# A condition that every row must meet; null counts as a failure. #}
{% test holds(model, condition) %}
select * from {{ model }} where ({{ condition }}) is not true
{% endtest %}
