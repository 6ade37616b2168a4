{#
  Splits amounts over the parts of a whole, to the cent. Each part gets its share rounded towards zero; what is left goes
  to one fixed part: the largest share, then the lowest key. Shares sum to the whole, and all but that one lie within a
  cent of their exact share. Parts count by `part`; where one of a whole is missing or below zero, or all are zero, each
  counts the same.

  relation   a relation with one row a part
  whole      columns that name the whole
  key        columns that order its parts
  part       column with the part's measure
  amounts    {column of the whole's amount: name of the share}

  Gives the relation's columns and the shares as numeric(18,2), as a subquery. Division is exact (`div`): no share depends
  on how many digits a quotient was carried to.
#}
{% macro allocated(relation, whole, key, part, amounts) -%}
(
    select
        rounded.*
        {%- for amount, share in amounts.items() %},
        (
            (
                rounded.cents_of_{{ share }} + case
                    when row_number() over (
                        partition by {{ whole | join(', ') }}
                        order by abs(rounded.cents_of_{{ share }}) desc, {{ key | join(', ') }}
                    ) = 1
                        then rounded.{{ amount }} * 100
                            - sum(rounded.cents_of_{{ share }}) over (partition by {{ whole | join(', ') }})
                    else 0
                end
            ) / 100
        )::numeric(18, 2) as {{ share }}
        {%- endfor %}
    from (
        select
            counted.*
            {%- for amount, share in amounts.items() %},
            div(counted.{{ amount }} * 100 * counted.part_counted, counted.whole_counted) as cents_of_{{ share }}
            {%- endfor %}
        from (
            select
                weighed.*,
                case when weighed.is_measured then weighed.{{ part }} else 1 end as part_counted,
                case
                    when weighed.is_measured
                        then sum(weighed.{{ part }}) over (partition by {{ whole | join(', ') }})
                    else count(*) over (partition by {{ whole | join(', ') }})
                end as whole_counted
            from (
                select
                    measured.*,
                    min(coalesce(measured.{{ part }}, -1)) over (partition by {{ whole | join(', ') }}) >= 0
                    and max(measured.{{ part }}) over (partition by {{ whole | join(', ') }}) > 0 as is_measured
                from {{ relation }} as measured
            ) as weighed
        ) as counted
    ) as rounded
)
{%- endmacro %}
