{#
  The rule that applies, as known then: of each rule the version recorded last by `known_at`, valid on `valid_on`; of
  those the most specific. Give `specificity` as ordering terms, most specific first. A decision so keeps the rule that
  was known when its document was admitted, also when everything is rebuilt.
#}
{% macro rule_in_force(table, columns, applies, specificity, valid_on, known_at) %}
(
    select newest.rule_id, newest.rule_version, {{ columns | join(', ') }}
    from (
        select distinct on (rule.rule_id) rule.*
        from {{ source('rules', table) }} as rule
        where rule.recorded_at <= {{ known_at }}
        order by rule.rule_id, rule.rule_version desc
    ) as newest
    where {{ applies }}
        and {{ valid_on }} >= newest.valid_from
        and (newest.valid_to is null or {{ valid_on }} <= newest.valid_to)
    order by {{ specificity }}, newest.rule_id
    limit 1
)
{% endmacro %}

{#
  The expense account of a canonical charge: the charge code map as it stood at `at`, the carrier's own row before the
  general one; where no row is that old, the oldest.
#}
{% macro expense_account(charge_code, scac, at) %}
(
    select code.ledger_account
    from {{ ref('charge_code') }} as code
    where code.charge_code = {{ charge_code }} and code.scac in ({{ scac }}, '*')
    order by
        (code.valid_from <= {{ at }} and (code.valid_to is null or code.valid_to > {{ at }})) is true desc,
        code.scac <> '*' desc, code.valid_from, code.partner_code
    limit 1
)
{% endmacro %}
