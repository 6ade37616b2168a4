{# Pairs of two relations that have a key in common, the first with the first; `but_for`: pairs made before. #}
{% macro paired(left, left_key, right, right_key, condition, but_for=[]) -%}
select one.payment_id as left_id, other.payment_id as right_id
    from (
        select
            payment_id,
            {{ left_key }} as pair_key,
            row_number() over (partition by {{ left_key }} order by paid_on, payment_id) as turn
        from {{ left }}
        where {{ left_key }} is not null and {{ condition }}
        {%- for made in but_for %}
            and payment_id not in (select left_id from {{ made }})
        {%- endfor %}
    ) as one
    inner join (
        select
            payment_id,
            {{ right_key }} as pair_key,
            row_number() over (partition by {{ right_key }} order by paid_on, payment_id) as turn
        from {{ right }}
        where {{ right_key }} is not null
        {%- for made in but_for %}
            and payment_id not in (select right_id from {{ made }})
        {%- endfor %}
    ) as other on other.pair_key = one.pair_key and other.turn = one.turn
{%- endmacro %}
