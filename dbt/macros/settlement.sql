{# An invoice number as carriers mean it: case, punctuation, leading zeros and suffix letters don't make another one. #}
{% macro normalized_number(number) -%}
    coalesce(
        nullif(
            regexp_replace(
                regexp_replace(regexp_replace(upper({{ number }}), '[^A-Z0-9]', '', 'g'), '^0+', ''), '[A-Z]+$', ''
            ), ''
        ),
        regexp_replace(upper({{ number }}), '[^A-Z0-9]', '', 'g')
    )
{%- endmacro %}

{#
  What a line says about whose it is: its shipment or PRO; its bill of lading where the bill names no shipment and no bill
  of lading for the whole, its order where it names none of these and no PRO either. A bill of one shipment may well name
  the orders on it line by line.
#}
{% macro own_reference(line, bill) -%}
    coalesce(
        'S:' || {{ line }}.shipment_reference,
        'P:' || {{ line }}.pro_number,
        case
            when {{ bill }}.shipment_reference is null and {{ bill }}.bol_number is null then 'B:' || {{ line }}.bol_number
        end,
        case
            when num_nonnulls({{ bill }}.shipment_reference, {{ bill }}.bol_number, {{ bill }}.pro_number) = 0
                then 'O:' || {{ line }}.order_number
        end
    )
{%- endmacro %}

{#
  How one charge of a bill compares with what is expected: `c` has invoiced, planned, approved_before (on earlier bills
  of the shipment), correction, same_currency, tolerance, under_tolerance, unplanned (how much of an unplanned charge
  a second bill may ask), self_bill_state and audited (by an audit that binds us). Both ways of judging, alone and in turn, say it by this text.
#}
{% macro charge_verdict(c) -%}
    case
        -- the carrier's own bill of a move that our document paid; its further bills are judged as ever
        when {{ c }}.self_bill_state = 'made' and {{ c }}.correction in ('', 'RB') then 'self_billed'
        -- what an audit that binds us says is to be paid is neither more nor less than the bill only where it approves it
        when {{ c }}.audited is not null and {{ c }}.audited <> {{ c }}.invoiced then 'audited'
        -- an amount in another currency says nothing about the plan, nor about a bill
        when not {{ c }}.same_currency then 'out_of_tolerance'
        when {{ c }}.invoiced < 0 and {{ c }}.correction in ('CR', 'AD') then 'in_tolerance'
        when {{ c }}.planned is null
            then case
                when {{ c }}.invoiced > 0 and {{ c }}.invoiced = {{ c }}.approved_before then 'duplicate_charge'
                when
                    {{ c }}.correction in ('SU', 'BD', 'CO', 'AD')
                    and {{ c }}.approved_before + {{ c }}.invoiced <= coalesce({{ c }}.unplanned, 0)
                    then 'approved'
                else 'unplanned_charge'
            end
        when {{ c }}.approved_before + {{ c }}.invoiced > {{ c }}.planned + coalesce({{ c }}.tolerance, 0)
            then case
                when {{ c }}.invoiced > 0 and {{ c }}.invoiced = {{ c }}.approved_before then 'duplicate_charge'
                else 'out_of_tolerance'
            end
        when
            {{ c }}.correction in ('', 'RB')
            and {{ c }}.approved_before + {{ c }}.invoiced < {{ c }}.planned - {{ c }}.under_tolerance
            then 'out_of_tolerance'
        when {{ c }}.approved_before + {{ c }}.invoiced = {{ c }}.planned then 'exact'
        else 'in_tolerance'
    end
{%- endmacro %}

{% macro fits(verdict) -%}
    {{ verdict }} in ('exact', 'in_tolerance', 'approved')
{%- endmacro %}

{#
  What of a charge is owed, whatever is paid meanwhile: all of it where it fits; what both sides agreed on; else what is
  still expected of it, and nothing of a charge that nobody expects.
#}
{% macro owed_amount(c) -%}
    case
        when {{ fits(c ~ '.verdict') }} then {{ c }}.invoiced
        -- beside our own document never more than the difference, whatever was agreed
        when {{ c }}.agreed is not null and {{ c }}.verdict = 'self_billed'
            then case
                when {{ c }}.invoiced >= 0
                    then least(greatest({{ c }}.agreed, 0), {{ c }}.invoiced - {{ self_billed_part(c) }})
                else greatest(least({{ c }}.agreed, 0), {{ c }}.invoiced - {{ self_billed_part(c) }})
            end
        when {{ c }}.agreed is not null then {{ c }}.agreed
        when
            {{ c }}.planned is null or not {{ c }}.same_currency
            or {{ c }}.verdict in ('duplicate_charge', 'self_billed') then 0
        -- a planned discount is below zero: less of it is billing too much
        when {{ c }}.planned < 0 then least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before)
        else greatest(least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before), 0)
    end
{%- endmacro %}

{#
  How much of a carrier's own bill our document has paid already: of what it bills, in its direction, no more than was
  approved before. Only the rest is in dispute.
#}
{% macro self_billed_part(c) -%}
    case
        when {{ c }}.verdict <> 'self_billed' or not {{ c }}.same_currency then 0
        when {{ c }}.invoiced >= 0 then least({{ c }}.invoiced, greatest({{ c }}.approved_before, 0))
        else greatest({{ c }}.invoiced, least({{ c }}.approved_before, 0))
    end
{%- endmacro %}

{# How much of a credit comes for what is still claimed back on earlier bills of the charge. #}
{% macro recovered_part(c) -%}
    least(greatest(-{{ c }}.owed, 0), greatest({{ c }}.claimed_before - {{ c }}.given_back, 0))
{%- endmacro %}

{# How much of an accrual so much of bills takes back: never more than was accrued, nor less than nothing. #}
{% macro accrued_part(amount) -%}
    case
        when accrued_amount >= 0 then least(greatest({{ amount }}, 0), accrued_amount)
        else greatest(least({{ amount }}, 0), accrued_amount)
    end
{%- endmacro %}

{# Bills that don't stand, and may yet: a person or another document decides. Of all others nothing will be paid. #}
{% macro waiting_exceptions() -%}
    (
        'no_candidate', 'several_candidates', 'corrected_bill_unknown', 'cancellation_differs', 'rebuttal',
        'correction_not_supported', 'billed_too_late'
    )
{%- endmacro %}
