"""Every rule of settlement broken on purpose, one after the other: the comparison with plain Python must see each.

A mutation is a small change of the text of one model or macro, in the parsed project of one build; its file must hold
what is changed just once. A settled world is made once and copied for each; only the models from the broken one on are
built anew. What survives here is a rule that the random world (tests/support/billed_world.py) does not touch: widen it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from billed_world import Settled, differences
from deployed import copied
from shaped import AS_OF

from freightsync.domain.errors import PermanentError
from freightsync.pipelines import build
from freightsync.settings import Settings

DBT = Path(__file__).resolve().parents[2] / "dbt"
ORDER = (
    "carrier_invoice",
    "carrier_invoice_line",
    "invoice_link",
    "invoice_same_move",
    "invoice_charge",
    "invoice_standing",
    "invoice_line_verdict",
    "invoice_verdict",
    "invoice_cost",
)
VIEWS = {
    "dispute_agreement": "invoice_line_verdict",
    "claim_settlement": "invoice_line_verdict",
    "audit_advice": "invoice_line_verdict",
    "released_accrual": "invoice_charge",
    "movement__settlement": None,
}
"""Views that settlement reads or ends in, and the first table that says something else then."""


@dataclass(frozen=True)
class Mutation:
    """file: under dbt/, without its end; first: the first model that a macro's change reaches."""

    name: str
    file: str
    old: str
    new: str
    first: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> Path:
        folder = "macros" if self.first else next(DBT.glob(f"models/*/{self.file}.sql")).parent.relative_to(DBT)
        return Path(folder) / f"{self.file}.sql"

    @property
    def built(self) -> list[str]:
        reached = self.first or self.file
        if reached in VIEWS:
            first = VIEWS[reached]
            later = ORDER[ORDER.index(first) :] if first else ()
            # a view that is made anew takes with it those that read it
            return list(dict.fromkeys([reached, *later, "movement__settlement"]))
        return list(ORDER[ORDER.index(reached) :])


MUTATIONS: list[Mutation] = []
TWICE = """            then case
                when {{ c }}.invoiced > 0 and {{ c }}.invoiced = {{ c }}.approved_before then 'duplicate_charge'
                """
AT_ITS_OWN_RATE = """
    {{ functional_step('accrued_amount', 'accrued_functional_amount', 'reversed_before', 'reversed_after') }}
    ::numeric(18, 2) as reversal_functional_amount"""
AT_ITS_BILLS_RATE = """
    coalesce(round((reversed_after - reversed_before) * exchange_rate, 2), 0)::numeric(18, 2)
    as reversal_functional_amount"""


OF_GOODS = """
            when stock.on_hand_quantity + stock.sold_quantity = 0 then {lost_sold}
            else stock.{sold}
        end as sold_part,
        case
            when stock.received_quantity is null or stock.received_quantity = 0 then 1
            when stock.on_hand_quantity + stock.sold_quantity = 0 then {lost_on_hand}
            else stock.{on_hand}
        end as on_hand_part"""
AS_IT_IS = {"lost_sold": 1, "lost_on_hand": 0, "sold": "sold_quantity", "on_hand": "on_hand_quantity"}


def mutate(file: str, *changes: tuple[str, str, str], first: str = "") -> None:
    MUTATIONS.extend(Mutation(f"{file}: {name}", file, old, new, first) for name, old, new in changes)


mutate(
    "carrier_invoice",
    (
        "who bills in a carrier's name is a carrier",
        "coalesce(aliases.scac, invoices.scac) as scac",
        "invoices.scac as scac",
    ),
    (
        "a name counts before its day",
        "'asked.invoice_on', 'asked.admitted_at'",
        "\"'infinity'::date\", 'asked.admitted_at'",
    ),
    (
        "a name counts before it is known",
        "'asked.invoice_on', 'asked.admitted_at'",
        "'asked.invoice_on', \"'infinity'::timestamptz\"",
    ),
    (
        "a rebill speaks of its own number only",
        "coalesce(invoices.corrects_number, invoices.invoice_number)",
        "invoices.invoice_number",
    ),
    (
        "a cancellation speaks of its own number only",
        "coalesce(invoices.corrects_number, invoices.invoice_number)",
        "case invoices.correction when $$CA$$ then invoices.invoice_number"
        " else coalesce(invoices.corrects_number, invoices.invoice_number) end",
    ),
    ("several shipments on one bill are one", "lines.own_references > 1", "lines.own_references > 9"),
    (
        "lines that name another shipment than their head are the head's",
        "lines.own_references = 1 and invoices.shipment_reference <> lines.shipment_reference, false",
        "false, false",
    ),
    (
        "lines do not speak for a head without a shipment",
        "then coalesce(invoices.shipment_reference, lines.shipment_reference)",
        "then invoices.shipment_reference",
    ),
    (
        "lines do not speak for a head without a PRO",
        "then coalesce(invoices.pro_number, lines.pro_number)",
        "then invoices.pro_number",
    ),
    ("days do not order bills", "to_char(invoices.invoice_on, 'YYYY-MM-DD')", "''"),
    ("corrections come before first bills", "when '' then ' 0 ' else ' 1 ' end", "when '' then ' 1 ' else ' 0 ' end"),
    (
        "numbers do not order bills",
        "|| invoices.invoice_number || ' ' || invoices.content_sha256",
        "|| ' ' || invoices.content_sha256",
    ),
    (
        "content orders bills backwards",
        "|| invoices.content_sha256 as",
        "|| translate(invoices.content_sha256, '0123456789abcdef', 'fedcba9876543210') as",
    ),
)
mutate(
    "settlement",
    (
        "small letters make another number",
        "regexp_replace(regexp_replace(upper({{ number }}), '[^A-Z0-9]', '', 'g')",
        "regexp_replace(regexp_replace({{ number }}, '[^A-Za-z0-9]', '', 'g')",
    ),
    (
        "punctuation makes another number",
        "regexp_replace(regexp_replace(upper({{ number }}), '[^A-Z0-9]', '', 'g')",
        "regexp_replace(regexp_replace(upper({{ number }}), '[^A-Z0-9 -]', '', 'g')",
    ),
    ("leading zeros make another number", "'^0+', ''", "'^0{9}', ''"),
    ("a suffix makes another number", "'[A-Z]+$', ''", "'[A-Z]{9}$', ''"),
    (
        "numbers of letters are all the same",
        "        regexp_replace(upper({{ number }}), '[^A-Z0-9]', '', 'g')\n    )",
        "        'NONE'\n    )",
    ),
    first="carrier_invoice",
)
mutate(
    "settlement",
    ("lines that name a PRO belong to no shipment", "        'P:' || {{ line }}.pro_number,\n", ""),
    ("lines that name a shipment belong to none", "        'S:' || {{ line }}.shipment_reference,\n", ""),
    first="carrier_invoice",
)
mutate(
    "carrier_invoice_line",
    ("everybody's meaning comes before the carrier's", "codes.scac <> '*' desc", "codes.scac = '*' desc"),
    ("a code means what it means now", "(codes.admitted_at <= invoices.admitted_at and", "(true and"),
    ("a code has another's meaning", "codes.scac in (invoices.scac, '*')", "codes.scac <> ''"),
    (
        "a code means what it will mean",
        "invoices.charged_on >= coalesce(codes.valid_from_on, '-infinity'::date)",
        "true",
    ),
    ("a code means what it meant once", "invoices.charged_on <= coalesce(codes.valid_to_on, 'infinity'::date)", "true"),
    (
        "a code means what it meant on the day of the bill",
        "coalesce(ship_on, invoice_on) as charged_on",
        "invoice_on as charged_on",
    ),
)
mutate(
    "invoice_link",
    (
        "a carrier's keys are those of the day of the bill",
        "min(coalesce(ship_on, invoice_on)) as valid_on",
        "min(invoice_on) as valid_on",
    ),
    (
        "keys that nobody knew count",
        "'asked.valid_on', 'asked.known_at'",
        "'asked.valid_on', \"'infinity'::timestamptz\"",
    ),
    ("everybody's keys come before the carrier's", "\"newest.scac <> '*' desc\"", "\"newest.scac = '*' desc\""),
    ("the shipment's number is not tried", "= 'shipment_reference'{{ asks }}", "= 'nothing'{{ asks }}"),
    ("the bill of lading is not tried", "= 'bol'{{ asks }}", "= 'nothing'{{ asks }}"),
    ("the PRO is not tried", "= 'pro'{{ asks }}", "= 'nothing'{{ asks }}"),
    ("the order is not tried", "= 'po'{{ asks }}", "= 'nothing'{{ asks }}"),
    (
        "another carrier's shipment number fits",
        "keyed.shipment_reference and shipment.scac = keyed.scac",
        "keyed.shipment_reference",
    ),
    (
        "another carrier's bill of lading fits",
        "shipment.scac = keyed.scac and shipment.bol_number = keyed.bol",
        "shipment.bol_number = keyed.bol",
    ),
    (
        "another carrier's PRO fits",
        "shipment.scac = keyed.scac and shipment.pro_number = keyed.pro",
        "shipment.pro_number = keyed.pro",
    ),
    (
        "another carrier's order fits",
        "on shipment.shipment_id = delivery.shipment_id and shipment.scac = keyed.scac",
        "on shipment.shipment_id = delivery.shipment_id",
    ),
    (
        "a shipment that was called off is not found by its number",
        "keyed.shipment_reference and shipment.scac = keyed.scac",
        "keyed.shipment_reference and shipment.scac = keyed.scac and not shipment.is_cancelled",
    ),
    (
        "a shipment that was called off is found by its bill of lading",
        "shipment.bol_number = keyed.bol and not shipment.is_cancelled",
        "shipment.bol_number = keyed.bol",
    ),
    (
        "a shipment that was called off is found by its PRO",
        "shipment.pro_number = keyed.pro and not shipment.is_cancelled",
        "shipment.pro_number = keyed.pro",
    ),
    (
        "a shipment that was called off is found by its order",
        "shipment.scac = keyed.scac\n                and not shipment.is_cancelled",
        "shipment.scac = keyed.scac",
    ),
    ("an order that went elsewhere fits", "and delivery.is_current", ""),
    ("the first of several is taken", "end = 1 then 'matched'", "end >= 1 then 'matched'"),
    (
        "a part of a consolidated bill is found by the head's shipment",
        "case when units.match_unit = '' then invoices.shipment_reference else units.shipment_reference end",
        "coalesce(units.shipment_reference, invoices.shipment_reference)",
    ),
    (
        "a part of a consolidated bill is found by the head's bill of lading",
        "case when units.match_unit = '' then invoices.bol_number else units.bol_number end as bol",
        "coalesce(units.bol_number, invoices.bol_number) as bol",
    ),
    (
        "a part of a consolidated bill is found by the head's PRO",
        "case when units.match_unit = '' then invoices.pro_number else units.pro_number end as pro",
        "coalesce(units.pro_number, invoices.pro_number) as pro",
    ),
    (
        "a part of a consolidated bill is found by the head's order",
        "case when units.match_unit = '' then invoices.po_number else units.order_number end as po",
        "coalesce(units.order_number, invoices.po_number) as po",
    ),
)
mutate(
    "invoice_same_move",
    ("a move has no origin", "and shipment.origin_postal = invoice.origin_postal", ""),
    ("a move has no destination", "and shipment.destination_postal = invoice.destination_postal", ""),
    ("a move has no day", "and shipment.ship_on = invoice.ship_on", ""),
    ("a move has no weight", "and shipment.weight_lb = invoice.weight_lb", ""),
    ("a move that was called off is a move", "and not shipment.is_cancelled", ""),
    ("a bill of several candidates may be a move", "link.outcome = 'no_candidate'", "link.outcome <> 'matched'"),
)
mutate(
    "invoice_charge",
    ("of two lines of a charge the larger counts", "sum(line.line_amount)", "max(line.line_amount)"),
    ("what is on its way is delivered", "shipment.milestone_rank >= 70", "shipment.milestone_rank >= 20"),
    (
        "what was given up is taken back",
        "accrual.accrued_amount - coalesce(released.released_amount, 0)",
        "accrual.accrued_amount",
    ),
    (
        "what was given up is taken back in the books' currency",
        "accrual.functional_amount - coalesce(released.released_functional_amount, 0)",
        "accrual.functional_amount",
    ),
    (
        "a tolerance is that of the day of the bill",
        "coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on) as shipped_on",
        "invoice.invoice_on as shipped_on",
    ),
    (
        "a bill without a day of shipping has its own day's tolerance",
        "coalesce(invoice.ship_on, shipment.ship_on, invoice.invoice_on) as shipped_on",
        "coalesce(invoice.ship_on, invoice.invoice_on) as shipped_on",
    ),
    (
        "tolerances that nobody knew count",
        "tolerance_specificity(),\n        'asked.valid_on', 'asked.known_at'",
        "tolerance_specificity(),\n        'asked.valid_on', \"'infinity'::timestamptz\"",
    ),
    (
        "either is the smaller",
        "then greatest(abs(facts.planned_amount) * tolerances.over_percent / 100",
        "then least(abs(facts.planned_amount) * tolerances.over_percent / 100",
    ),
    (
        "both is the larger",
        "else least(abs(facts.planned_amount) * tolerances.over_percent / 100",
        "else greatest(abs(facts.planned_amount) * tolerances.over_percent / 100",
    ),
    (
        "either is the smaller, under",
        "then greatest(abs(facts.planned_amount) * tolerances.under_percent / 100",
        "then least(abs(facts.planned_amount) * tolerances.under_percent / 100",
    ),
    (
        "both is the larger, under",
        "else least(abs(facts.planned_amount) * tolerances.under_percent / 100",
        "else greatest(abs(facts.planned_amount) * tolerances.under_percent / 100",
    ),
    (
        "a percentage of a discount is below zero",
        "then greatest(abs(facts.planned_amount) * tolerances.over_percent / 100",
        "then greatest(facts.planned_amount * tolerances.over_percent / 100",
    ),
    (
        "a percentage is not asked",
        "then greatest(abs(facts.planned_amount) * tolerances.over_percent / 100, tolerances.over_amount)",
        "then tolerances.over_amount",
    ),
    (
        "an amount is not asked",
        "then greatest(abs(facts.planned_amount) * tolerances.over_percent / 100, tolerances.over_amount)",
        "then abs(facts.planned_amount) * tolerances.over_percent / 100",
    ),
    (
        "an unplanned amount is never accepted",
        "    tolerances.unplanned_amount,\n",
        "    null::numeric(18, 2) as unplanned_amount,\n",
    ),
    (
        "an accrual is taken back in another currency",
        "case when facts.planned_currency <> facts.currency then 0 else coalesce(facts.accrued_amount, 0) end",
        "coalesce(facts.accrued_amount, 0)",
    ),
    (
        "what is not accrued yet is",
        "facts.has_accrual or facts.planned_amount is null as is_accrued",
        "true as is_accrued",
    ),
    (
        "what nobody planned must be accrued",
        "facts.has_accrual or facts.planned_amount is null as is_accrued",
        "facts.has_accrual as is_accrued",
    ),
    ("all currencies are worth the same", "then 1 else rates.exchange_rate end", "then 1 else 1 end"),
    (
        "a reversal credits the account that holds now",
        "coalesce(facts.accrual_expense_account, costs.cost_account, accounts.ledger_account) as expense_account",
        "coalesce(accounts.ledger_account, facts.accrual_expense_account) as expense_account",
    ),
    (
        "charges that nobody planned have no account",
        "coalesce(facts.accrual_expense_account, costs.cost_account, accounts.ledger_account) as expense_account",
        "facts.accrual_expense_account as expense_account",
    ),
    (
        "a carrier's policy is that of another day",
        "scac, settlement_known, settlement_day,\n            min(invoice_on) as valid_on",
        "scac, settlement_known, settlement_day,\n            '2026-03-12'::date as valid_on",
    ),
    (
        "a policy that nobody knew counts",
        "\"newest.scac <> '*' desc\", 'asked.valid_on', 'asked.known_at'",
        "\"newest.scac <> '*' desc\", 'asked.valid_on', \"'infinity'::timestamptz\"",
    ),
    (
        "everybody's policy comes before the carrier's",
        "\"newest.scac <> '*' desc\", 'asked.valid_on', 'asked.known_at'",
        "\"newest.scac = '*' desc\", 'asked.valid_on', 'asked.known_at'",
    ),
)
mutate(
    "rules",
    ("a version counts before its day", "and rule.valid_from <= {{ valid_on }}", ""),
    (
        "a version does not count on its first day",
        "and rule.valid_from <= {{ valid_on }}",
        "and rule.valid_from < {{ valid_on }}",
    ),
    ("the oldest version counts", "rule.rule_version desc", "rule.rule_version"),
    ("a rule never ends", "(newest.valid_to is null or {{ valid_on }} <= newest.valid_to)", "true"),
    ("a rule does not hold on its last day", "{{ valid_on }} <= newest.valid_to)", "{{ valid_on }} < newest.valid_to)"),
    (
        "of two equal rules the higher name counts",
        "order by {{ specificity }}, newest.rule_id\n",
        "order by {{ specificity }}, newest.rule_id desc\n",
    ),
    ("a carrier's rules are everybody's", "newest.scac in ({{ asked }}.scac, '*')", "true"),
    ("a charge's rules are every charge's", "newest.charge_code in ({{ asked }}.charge_code, '*')", "true"),
    ("a lane's rules are every lane's", "newest.origin || '>' || newest.destination = any({{ asked }}.lanes)", "true"),
    ("a band's rules are those of unplanned charges", "{{ asked }}.band >= 0", "true"),
    (
        "a band does not begin at its beginning",
        "{{ value_band('newest.value_from') }} <= {{ asked }}.band",
        "{{ value_band('newest.value_from') }} < {{ asked }}.band",
    ),
    (
        "a band holds its end",
        "{{ asked }}.band < {{ value_band('newest.value_to') }}",
        "{{ asked }}.band <= {{ value_band('newest.value_to') }}",
    ),
    ("a discount is in no band", "width_bucket(abs({{ amount }})", "width_bucket({{ amount }}"),
    ("the beginning of an origin is no origin", "starts_with({{ origin }}, lane.origin)", "{{ origin }} = lane.origin"),
    (
        "the beginning of a destination is no destination",
        "starts_with({{ destination }}, lane.destination)",
        "{{ destination }} = lane.destination",
    ),
    (
        "a carrier is nothing special",
        "newest.scac <> '*' desc, newest.value_from is not null",
        "newest.value_from is not null",
    ),
    ("a band is nothing special", "newest.value_from is not null or newest.value_to is not null desc,", ""),
    ("a charge is nothing special", "newest.charge_code <> '*' desc, length(", "length("),
    ("a shorter lane is more special", "newest.destination, '*', '')) desc", "newest.destination, '*', ''))"),
    first="invoice_charge",
)
mutate(
    "settlement",
    (
        "an audit that binds us decides nothing",
        "when {{ c }}.audited is not null and {{ c }}.audited <> {{ c }}.invoiced then 'audited'",
        "when false then 'audited'",
    ),
    first="invoice_line_verdict",
)
mutate(
    "settlement",
    (
        "a line's bill of lading speaks beside its head's",
        "when {{ bill }}.shipment_reference is null and {{ bill }}.bol_number is null then",
        "when true then",
    ),
    (
        "a line's order speaks beside its head's",
        "when num_nonnulls({{ bill }}.shipment_reference, {{ bill }}.bol_number, {{ bill }}.pro_number) = 0",
        "when true",
    ),
    first="carrier_invoice",
)
mutate(
    "audit_advice",
    ("an audit of another amount counts", "and invoice.net_amount = result.billed_amount", ""),
    (
        "the first word of an audit counts",
        "result.revision desc, result.record_id desc",
        "result.revision, result.record_id",
    ),
    ("what does not say all decides", "when complete.carrier_invoice_id is not null then", "when true then"),
)
mutate(
    "currency",
    (
        "a rate never gets too old",
        "published.rate_on between {{ row }}.rate_on - {{ row }}.rate_max_age_days and {{ row }}.rate_on",
        "published.rate_on <= {{ row }}.rate_on",
    ),
    (
        "the oldest rate counts",
        "published.rate_on desc, published.version desc",
        "published.rate_on, published.version desc",
    ),
    ("a rate that came later counts", "published.known_at <= {{ row }}.known_at desc,", ""),
    ("a rate of a later day counts", "and {{ row }}.rate_on\n", "and {{ row }}.rate_on + 3\n"),
    first="invoice_charge",
)
mutate(
    "invoice_standing",
    (
        "a correction may be repeated",
        "    where first_id <> carrier_invoice_id\n),\n\n-- A rebill",
        "    where false\n),\n\n-- A rebill",
    ),
    (
        "a correction of other charges is the same again",
        "invoices.normalized_number, invoices.correction, contents.charges",
        "invoices.normalized_number, invoices.correction",
    ),
    (
        "a correction under another number is the same again",
        "invoices.normalized_number, invoices.correction, contents.charges",
        "invoices.correction, contents.charges",
    ),
    (
        "a correction of another kind is the same again",
        "invoices.normalized_number, invoices.correction, contents.charges",
        "invoices.normalized_number, contents.charges",
    ),
    (
        "of two equal corrections the later stands",
        "contents.charges\n                order by invoices.business_order",
        "contents.charges\n                order by invoices.business_order desc",
    ),
    (
        "a rebill under its own number belongs to none",
        "where correction = 'RB' and corrects_number <> normalized_number\n",
        "where false\n",
    ),
    (
        "a repeated rebill takes the first one's place",
        "in ('', 'RB', 'CA') and repeated.carrier_invoice_id is null",
        "in ('', 'RB', 'CA')",
    ),
    ("a rebill of nothing stands", "having count(*) > 1 or bool_or(correction <> '')", "having count(*) > 1"),
    ("a cancellation cancels whatever the amount", "and abs(bill.net_amount) = abs(told.net_amount)", ""),
    (
        "a cancellation must have the bill's sign",
        "and abs(bill.net_amount) = abs(told.net_amount)",
        "and bill.net_amount = told.net_amount",
    ),
    ("a cancellation knows later bills", "and bill.business_order < told.business_order", ""),
    (
        "a cancellation that differs ends the story",
        "filter (where correction = 'CA' and not differs) over",
        "filter (where correction = 'CA') over",
    ),
    (
        "a rebill stands before its bill",
        "or (correction = 'RB' and business_order > first_order)",
        "or correction = 'RB'",
    ),
    (
        "a number may be billed twice",
        "business_order <> begun.first_order then 'duplicate_number'",
        "business_order <> begun.first_order then null",
    ),
    ("a replaced bill stands", "when standing.replaced_by is not null then 'replaced'", "when false then 'replaced'"),
    (
        "a cancelled bill stands",
        "when cancelling.carrier_invoice_id is not null then 'cancelled'",
        "when false then 'cancelled'",
    ),
    (
        "a cancellation of nothing cancels",
        "last_bill.carrier_invoice_id is null then 'corrected_bill_unknown'",
        "last_bill.carrier_invoice_id is null then null",
    ),
    (
        "what differs cancels its bill",
        "and cancelling.correction = 'CA' and not cancelling.differs",
        "and cancelling.correction = 'CA'",
    ),
    ("a cancellation is a bill", "when begun.correction = 'CA' then 'cancellation'", "when false then ''"),
    (
        "a rebill of nothing stands in a story",
        "when standing.carrier_invoice_id is null then 'corrected_bill_unknown'",
        "when false then ''",
    ),
    ("a rebuttal is a bill", "when invoices.correction in ('RF', 'RP') then 'rebuttal'", "when false then ''"),
    (
        "any correction is settled",
        "when invoices.correction not in ('', 'SU', 'BD', 'CO', 'AD', 'CR', 'RB', 'CA')",
        "when false",
    ),
    (
        "a bill that does not stand makes duplicates",
        "in ('', 'RB') and numbered.number_exception is null\n    group",
        "in ('', 'RB')\n    group",
    ),
    (
        "further charges are duplicates of a move",
        "numbered.correction in ('', 'RB') and numbered.number",
        "numbered.correction in ('', 'RB', 'SU', 'BD', 'CO') and numbered.number",
    ),
    (
        "any second bill of a shipment is a duplicate",
        "partition by shipment_id, scac, charges order by",
        "partition by shipment_id, scac order by",
    ),
    (
        "of two equal bills the later stands",
        "partition by shipment_id, scac, charges order by business_order",
        "partition by shipment_id, scac, charges order by business_order desc",
    ),
    ("a further charge is a duplicate of a move", "and numbered.correction = ''\n", "\n"),
    ("a bill is its own duplicate", "and billed.carrier_invoice_id <> moves.carrier_invoice_id", ""),
    ("a move has no service", "and coalesce(billed.service_level = numbered.service_level, true)", ""),
    (
        "a service that is not said is another",
        "coalesce(billed.service_level = numbered.service_level, true)",
        "coalesce(billed.service_level = numbered.service_level, false)",
    ),
    ("a balance due is never late", "charge.correction in ('SU', 'BD') and", "charge.correction in ('SU') and"),
    ("a supplemental is never late", "charge.correction in ('SU', 'BD') and", "charge.correction in ('BD') and"),
    ("a correction is late", "charge.correction in ('SU', 'BD') and", "charge.correction in ('SU', 'BD', 'CO') and"),
    (
        "there is more time",
        "further.extra_bill_days * interval '1 day'",
        "further.extra_bill_days * interval '10 days'",
    ),
    (
        "the first word on a bill counts",
        "order by carrier_invoice_id, approval_id desc",
        "order by carrier_invoice_id, approval_id",
    ),
    (
        "a no is for any amount",
        "when approvals.verdict = 'rejected' and approvals.amount = numbered.net_amount",
        "when approvals.verdict = 'rejected'",
    ),
    (
        "a no is no answer",
        "when approvals.verdict = 'rejected' and approvals.amount = numbered.net_amount",
        "when false",
    ),
    (
        "a yes is for any amount",
        "(approvals.verdict = 'approved' and approvals.amount = numbered.net_amount)",
        "(approvals.verdict = 'approved')",
    ),
    (
        "a yes is no answer",
        "(approvals.verdict = 'approved' and approvals.amount = numbered.net_amount) is not true",
        "true",
    ),
    (
        "just the limit needs a person",
        "numbered.net_amount > limits.auto_approve_amount",
        "numbered.net_amount >= limits.auto_approve_amount",
    ),
    ("nothing needs a person", "numbered.net_amount > limits.auto_approve_amount", "false"),
    (
        "numbers are not looked at",
        "when numbered.number_exception is not null then numbered.number_exception\n",
        "when false then ''\n",
    ),
    (
        "moves without a reference are not looked at",
        "when unreferenced.first_of_move is not null then 'duplicate_move'",
        "when false then ''",
    ),
    ("a bill of no shipment stands", "when links.has_no_candidate then 'no_candidate'", "when false then ''"),
    (
        "a bill of several shipments stands",
        "when links.has_several_candidates then 'several_candidates'",
        "when false then ''",
    ),
    (
        "moves are not looked at",
        "when moved_again.first_of_move is not null then 'duplicate_move'",
        "when false then ''",
    ),
    (
        "times are not looked at",
        "when late.carrier_invoice_id is not null then 'billed_too_late'",
        "when false then ''",
    ),
)
mutate(
    "settlement",
    (
        "amounts in two currencies are compared",
        "when not {{ c }}.same_currency then 'out_of_tolerance'",
        "when false then ''",
    ),
    (
        "a credit is compared",
        "when {{ c }}.invoiced < 0 and {{ c }}.correction in ('CR', 'AD') then 'in_tolerance'",
        "when false then ''",
    ),
    (
        "an adjustment is always accepted",
        "when {{ c }}.invoiced < 0 and {{ c }}.correction",
        "when ({{ c }}.invoiced < 0 or {{ c }}.planned > 0) and {{ c }}.correction",
    ),
    ("an adjustment is no credit", "{{ c }}.correction in ('CR', 'AD') then", "{{ c }}.correction in ('CR') then"),
    (
        "whatever is below zero is a credit",
        "when {{ c }}.invoiced < 0 and {{ c }}.correction in ('CR', 'AD')",
        "when {{ c }}.invoiced < 0",
    ),
    (
        "an unplanned charge is never billed twice",
        TWICE + "when\n",
        "            then case\n                when\n",
    ),
    ("a first bill may ask for what nobody planned", "{{ c }}.correction in ('SU', 'BD', 'CO', 'AD')", "true"),
    (
        "a supplemental may not ask for what nobody planned",
        "{{ c }}.correction in ('SU', 'BD', 'CO', 'AD')",
        "{{ c }}.correction in ('BD', 'CO', 'AD')",
    ),
    ("just what is accepted is not", "<= coalesce({{ c }}.unplanned, 0)", "< coalesce({{ c }}.unplanned, 0)"),
    (
        "what is accepted is accepted again",
        "and {{ c }}.approved_before + {{ c }}.invoiced <= coalesce({{ c }}.unplanned, 0)",
        "and {{ c }}.invoiced <= coalesce({{ c }}.unplanned, 0)",
    ),
    (
        "just the limit is over",
        "{{ c }}.approved_before + {{ c }}.invoiced > {{ c }}.planned + ",
        "{{ c }}.approved_before + {{ c }}.invoiced >= {{ c }}.planned + ",
    ),
    ("nothing over is in tolerance", "{{ c }}.planned + coalesce({{ c }}.tolerance, 0)", "{{ c }}.planned"),
    (
        "what was approved before is expected again",
        "when {{ c }}.approved_before + {{ c }}.invoiced > ",
        "when {{ c }}.invoiced > ",
    ),
    (
        "a planned charge is never billed twice",
        TWICE + "else 'out_of_tolerance'",
        "            then case\n                when false then ''\n                else 'out_of_tolerance'",
    ),
    ("a correction may not ask for less", "{{ c }}.correction in ('', 'RB')\n", "true\n"),
    ("a rebill may ask for less", "{{ c }}.correction in ('', 'RB')\n", "{{ c }}.correction in ('')\n"),
    ("any less is accepted", "{{ c }}.correction in ('', 'RB')\n", "false\n"),
    (
        "just the limit is under",
        "{{ c }}.approved_before + {{ c }}.invoiced < {{ c }}.planned - ",
        "{{ c }}.approved_before + {{ c }}.invoiced <= {{ c }}.planned - ",
    ),
    (
        "nothing under is in tolerance",
        "{{ c }}.planned - {{ c }}.under_tolerance",
        "{{ c }}.planned - 0 * {{ c }}.under_tolerance",
    ),
    (
        "what was approved before is not less",
        "and {{ c }}.approved_before + {{ c }}.invoiced < ",
        "and {{ c }}.invoiced < ",
    ),
    (
        "exact is what the bill alone asks",
        "when {{ c }}.approved_before + {{ c }}.invoiced = {{ c }}.planned then 'exact'",
        "when {{ c }}.invoiced = {{ c }}.planned then 'exact'",
    ),
    (
        "an accepted unplanned charge does not fit",
        "in ('exact', 'in_tolerance', 'approved')",
        "in ('exact', 'in_tolerance')",
    ),
    (
        "what fits is owed as planned",
        "when {{ fits(c ~ '.verdict') }} then {{ c }}.invoiced\n        -- beside",
        "when {{ fits(c ~ '.verdict') }} then coalesce({{ c }}.planned, {{ c }}.invoiced)\n        -- beside",
    ),
    ("what was agreed is not owed", "when {{ c }}.agreed is not null then {{ c }}.agreed", "when false then 0"),
    (
        "what nobody planned is owed",
        "            {{ c }}.planned is null or not {{ c }}.same_currency\n",
        "            not {{ c }}.same_currency\n",
    ),
    (
        "what is billed in another currency is owed",
        "            {{ c }}.planned is null or not {{ c }}.same_currency\n",
        "            {{ c }}.planned is null\n",
    ),
    (
        "what is billed twice is owed",
        "or {{ c }}.verdict in ('duplicate_charge', 'self_billed') then 0",
        "or {{ c }}.verdict in ('self_billed') then 0",
    ),
    ("a discount is owed like a charge", "when {{ c }}.planned < 0 then", "when false then"),
    (
        "all of an over-billed charge is owed",
        "else greatest(least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before), 0)",
        "else {{ c }}.invoiced",
    ),
    (
        "less than nothing is owed",
        "else greatest(least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before), 0)",
        "else least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before)",
    ),
    (
        "what was approved before is owed again",
        "else greatest(least({{ c }}.invoiced, {{ c }}.planned - {{ c }}.approved_before), 0)",
        "else greatest(least({{ c }}.invoiced, {{ c }}.planned), 0)",
    ),
    (
        "a credit comes for more than is claimed",
        "least(greatest(-{{ c }}.owed, 0), greatest({{ c }}.claimed_before - {{ c }}.given_back, 0))",
        "greatest(-{{ c }}.owed, 0)",
    ),
    (
        "no credit comes for a claim",
        "least(greatest(-{{ c }}.owed, 0), greatest({{ c }}.claimed_before - {{ c }}.given_back, 0))",
        "0",
    ),
    (
        "what came back otherwise is still claimed",
        "{{ c }}.claimed_before - {{ c }}.given_back",
        "{{ c }}.claimed_before",
    ),
    (
        "more is taken back than was accrued",
        "least(greatest({{ amount }}, 0), accrued_amount)",
        "greatest({{ amount }}, 0)",
    ),
    (
        "an accrual is taken back below nothing",
        "least(greatest({{ amount }}, 0), accrued_amount)",
        "least({{ amount }}, accrued_amount)",
    ),
    (
        "more of a discount is taken back than was accrued",
        "greatest(least({{ amount }}, 0), accrued_amount)",
        "least({{ amount }}, 0)",
    ),
    ("a bill that waits is rejected", "'correction_not_supported', 'billed_too_late'", "'correction_not_supported'"),
    (
        "a bill of no shipment is rejected",
        "'no_candidate', 'several_candidates', 'corrected",
        "'several_candidates', 'corrected",
    ),
    first="invoice_line_verdict",
)
mutate(
    "invoice_line_verdict",
    (
        "claims that were settled otherwise are open",
        "coalesce(given_back.amount, 0) as given_back",
        "0.00 as given_back",
    ),
    (
        "every bill stands",
        "charge.carrier_invoice_id not in (select carrier_invoice_id from not_standing) as stands",
        "true as stands",
    ),
    (
        "every bill that does not stand is rejected",
        "exception not in {{ waiting_exceptions() }} as is_rejected",
        "true as is_rejected",
    ),
    ("what is not delivered is paid", "charge.is_delivered and charge.is_accrued and", "charge.is_accrued and"),
    ("what is not accrued is posted", "charge.is_delivered and charge.is_accrued and", "charge.is_delivered and"),
    ("what has no account is posted", ") = 3 and charge", ") >= 2 and charge"),
    ("nobody is asked", "= 3 and charge.carrier_invoice_id not in (select carrier_invoice_id from waiting)", "= 3"),
    (
        "what is agreed on is held",
        "where not {{ fits('verdict') }} and agreed is null and coalesce(dispute_mode, 'hold') = 'hold'",
        "where not {{ fits('verdict') }} and coalesce(dispute_mode, 'hold') = 'hold'",
    ),
    ("nothing is held", "and coalesce(dispute_mode, 'hold') = 'hold'", "and false"),
    ("every carrier's bills are held", "and coalesce(dispute_mode, 'hold') = 'hold'", "and true"),
    ("a bill is paid in part while another part is not delivered", "    where not is_ready\n", "    where false\n"),
    (
        "what does not stand was approved",
        "case when invoices.stands and not judged.is_held then walk.approved || judged.approved_after",
        "case when not judged.is_held then walk.approved || judged.approved_after",
    ),
    (
        "what is held was approved",
        "case when invoices.stands and not judged.is_held then walk.approved || judged.approved_after",
        "case when invoices.stands then walk.approved || judged.approved_after",
    ),
    (
        "of what does not stand something is claimed",
        "case when invoices.stands and not judged.is_held then walk.claimed || judged.claimed_after",
        "case when not judged.is_held then walk.claimed || judged.claimed_after",
    ),
    (
        "what is held is paid after all",
        "        judged.lines,\n        invoices.stands and not judged.is_held,",
        "        judged.lines,\n        invoices.stands,",
    ),
    (
        "bills are judged from the last back",
        "order by crowded.business_order) as turn",
        "order by crowded.business_order desc) as turn",
    ),
    (
        "what is agreed on is held in its turn",
        "and checked.agreed is null and checked.dispute_mode = 'hold'",
        "and checked.dispute_mode = 'hold'",
    ),
    (
        "all that was billed was approved",
        "checked.approved_before + checked.owed\n",
        "checked.approved_before + checked.invoiced\n",
    ),
    (
        "a credit for a claim comes off what was approved",
        "checked.approved_before + checked.owed\n                + {{ recovered_part('checked') }}",
        "checked.approved_before + checked.owed",
    ),
    (
        "a credit leaves its claim open",
        "checked.claimed_before - {{ recovered_part('checked') }}",
        "checked.claimed_before",
    ),
    (
        "nothing is claimed back",
        "then checked.invoiced - checked.owed else 0 end\n            ) as claimed_after",
        "then 0 else 0 end\n            ) as claimed_after",
    ),
    (
        "what is claimed back is not paid",
        "when dispute_mode = 'pay_and_claim' then invoiced\n",
        "when dispute_mode = 'pay_and_claim' then owed\n",
    ),
    (
        "claims are no claims",
        "case when is_posted and dispute_mode = 'pay_and_claim' then invoiced - owed else 0 end as claimed",
        "0 as claimed",
    ),
    (
        "credits recover nothing",
        "case when is_posted then {{ recovered_part('judged') }} else 0 end as recovered",
        "0 as recovered",
    ),
    (
        "what is agreed on is disputed",
        "when {{ fits('verdict') }} or agreed is not null then 0",
        "when {{ fits('verdict') }} then 0",
    ),
    ("what is claimed is disputed, too", "when dispute_mode = 'pay_and_claim' and is_approved then 0\n", ""),
    (
        "what does not stand is disputed",
        "        case\n            when not stands then 0\n            when {{ fits('verdict') }} or",
        "        case\n            when {{ fits('verdict') }} or",
    ),
    ("nothing is rejected", "when is_rejected then invoiced", "when is_rejected then 0"),
    (
        "what both gave up is not rejected",
        "                then invoiced - owed\n            else {{ self_billed_part('judged') }}",
        "                then 0\n            else {{ self_billed_part('judged') }}",
    ),
    (
        "a recovered credit reverses an accrual",
        "case when is_posted then owed + recovered else 0 end as posted_now",
        "case when is_posted then owed else 0 end as posted_now",
    ),
    (
        "each bill takes back as if it were alone",
        "sum(posted_now) over (partition by shipment_id, charge_code order by business_order)",
        "posted_now",
    ),
    (
        "bills take back in no order",
        "sum(posted_now) over (partition by shipment_id, charge_code order by business_order)",
        "sum(posted_now) over (partition by shipment_id, charge_code order by business_order desc)",
    ),
    (
        "a reversal is at the rate of its bill",
        AT_ITS_OWN_RATE,
        AT_ITS_BILLS_RATE,
    ),
)
mutate(
    "invoice_verdict",
    ("what is out of tolerance fits", "when lines.has_out_of_tolerance then 'out_of_tolerance'", "when false then ''"),
    ("what nobody planned fits", "when lines.has_unplanned_charge then 'unplanned_charge'", "when false then ''"),
    ("what is billed twice fits", "when lines.has_duplicate_charge then 'duplicate_charge'", "when false then ''"),
    (
        "what nobody planned is worse than what is too much",
        "when lines.has_out_of_tolerance then 'out_of_tolerance'",
        "when lines.has_out_of_tolerance and not lines.has_unplanned_charge then 'out_of_tolerance'",
    ),
    (
        "what is agreed on is still out of tolerance",
        "verdict = 'out_of_tolerance' and agreed_amount is null",
        "verdict = 'out_of_tolerance'",
    ),
    (
        "what is agreed on is still unplanned",
        "verdict = 'unplanned_charge' and agreed_amount is null",
        "verdict = 'unplanned_charge'",
    ),
    ("a bill waits for no delivery", "when not lines.is_delivered then 'not_delivered'", "when false then ''"),
    ("a bill waits for no account", "when lines.missing_accounts <> '' then 'no_account'", "when false then ''"),
    ("a bill waits for no accrual", "when lines.is_not_accrued then 'not_accrued'", "when false then ''"),
    ("a bill waits for nobody", "when standing.needs_approval then 'needs_approval'", "when false then ''"),
    ("what is agreed on is as planned", "when lines.has_agreed then 'agreed'", "when false then ''"),
    ("what is accepted is as planned", "when lines.has_approved then 'approved'", "when false then ''"),
    ("what is in tolerance is as planned", "when lines.has_in_tolerance then 'in_tolerance'", "when false then ''"),
    (
        "a bill of no shipment is as planned",
        "when lines.carrier_invoice_id is null then 'no_candidate'",
        "when false then ''",
    ),
    ("standing is not looked at", "            standing.exception,\n            case", "            case"),
    ("a bill that waits is rejected", "when judged.standing_exception in {{ waiting_exceptions() }} then 0\n", ""),
    (
        "a duplicate of no shipment is not rejected",
        "when judged.standing_exception is not null then judged.net_amount\n",
        "",
    ),
)
mutate(
    "invoice_cost",
    (
        "lost goods are in stock",
        OF_GOODS.format(**AS_IT_IS),
        OF_GOODS.format(**AS_IT_IS | {"lost_sold": 0, "lost_on_hand": 1}),
    ),
    (
        "goods in stock bear what those bear that are sold",
        OF_GOODS.format(**AS_IT_IS),
        OF_GOODS.format(**AS_IT_IS | {"sold": "on_hand_quantity", "on_hand": "sold_quantity"}),
    ),
    (
        "goods of which nothing is known are sold",
        "when stock.received_quantity is null or stock.received_quantity = 0 then 0",
        "when stock.received_quantity is null or stock.received_quantity = 0 then 1",
    ),
)
mutate(
    "movement__settlement",
    (
        "what is recovered is no cost",
        "        paid_amount - claimed_amount + recovered_amount as cost_amount,",
        "        paid_amount - claimed_amount as cost_amount,",
    ),
    (
        "what is claimed is a cost",
        "        paid_amount - claimed_amount + recovered_amount as cost_amount,",
        "        paid_amount + recovered_amount as cost_amount,",
    ),
    (
        "a cost is booked at no rate",
        "round((paid_amount - claimed_amount + recovered_amount) * exchange_rate, 2)",
        "(paid_amount - claimed_amount + recovered_amount)",
    ),
    (
        "a recovered claim stays",
        "else claimed_amount - recovered_amount end as signed_amount",
        "else claimed_amount end as signed_amount",
    ),
    (
        "a credit leaves of a claim what its rate leaves",
        "where not leg.is_exchange or difference_amount <> 0",
        "where not leg.is_exchange",
    ),
    ("a claim is on the cost's account", "        claim_account as to_debit,", "        expense_account as to_debit,"),
    (
        "an accrual is taken back from what is payable",
        "        accrued_account as to_debit,\n        expense_account",
        "        payable_account as to_debit,\n        expense_account",
    ),
    (
        "a reversal makes an accrual",
        "        accrued_account as to_debit,\n        expense_account as to_credit,",
        "        expense_account as to_debit,\n        accrued_account as to_credit,",
    ),
    (
        "a reversal is at the rate of the bill",
        "        reversal_functional_amount as taken_back_functional_amount,",
        "        round(reversal_amount * exchange_rate, 2) as taken_back_functional_amount,",
    ),
    (
        "a loss is a gain",
        "case when difference_amount > 0 then loss_account",
        "case when difference_amount < 0 then loss_account",
    ),
    ("what a rate cost is not booked", "    where difference_amount <> 0\n", "    where false\n"),
)
mutate(
    "dispute_agreement",
    (
        "a refusal is an acceptance",
        "where acceptance.kind = 'acceptance'",
        "where acceptance.kind in ('acceptance', 'refusal')",
    ),
    ("the first agreement counts", "acceptance.event_id desc", "acceptance.event_id"),
)
mutate(
    "claim_settlement",
    ("money that came back settles nothing", "in ('recovery', 'write_off')", "in ('write_off')"),
    ("a claim that was given up is open", "in ('recovery', 'write_off')", "in ('recovery')"),
)
mutate(
    "currency",
    ("the newest claim ends first", "order by claimed.business_order)", "order by claimed.business_order desc)"),
    ("what ended before is claimed still", "select coalesce(sum(earlier.recovered_amount), 0)", "select min(0.00)"),
    (
        "claims stand at the rate of what ends them",
        "round(claimed.claimed_amount * claimed.exchange_rate, 2)",
        "round(claimed.claimed_amount * {{ part }}.exchange_rate, 2)",
    ),
    first="movement__settlement",
)
mutate("released_accrual", ("what was refused is released", "and approval.verdict = 'approved'", ""))

QUICK = (
    "invoice_link: the first of several is taken",
    "invoice_charge: both is the larger",
    "settlement: more is taken back than was accrued",
    "invoice_cost: lost goods are in stock",
    "movement__settlement: a claim is on the cost's account",
)
"""Those of the normal run, one from each end of settlement."""


def broken(settings: Settings, mutation: Mutation) -> Any:
    """The parsed project with one changed text."""
    manifest = build.load_manifest(settings)
    nodes = [*manifest.nodes.values(), *manifest.macros.values()]
    texts = {"macro": "macro_sql", "model": "raw_code"}
    changed = 0
    for node in nodes:
        name = texts.get(str(node.resource_type))
        if name and Path(node.original_file_path) == mutation.path and mutation.old in getattr(node, name):
            setattr(node, name, getattr(node, name).replace(mutation.old, mutation.new))
            changed += 1
    assert changed == 1, f"{mutation.path} changed: mutate it anew"
    return manifest


def parameters() -> list[Any]:
    return [
        pytest.param(mutation, id=str(mutation), marks=() if str(mutation) in QUICK else (pytest.mark.long,))
        for mutation in MUTATIONS
    ]


REFUSALS = ("violates not-null constraint", "cannot affect row a second time", "violates unique constraint")
"""A value that is missing, or a second row of one key"""


def test_all_of_it_built_anew_agrees(postgres_server: Any, settled_world: Settled) -> None:
    """Without a run's scope, too; so what a mutation changes is the mutation's."""
    with copied(postgres_server, settled_world.database) as warehouse:
        build.run_dbt("build", [*ORDER, *VIEWS], warehouse.settings, as_of=AS_OF)
        assert differences(warehouse, settled_world.expected) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutation", parameters())
def test_a_broken_rule_is_seen(
    postgres_server: Any, settled_world: Settled, mutation: Mutation, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DBT / mutation.path).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1, f"{mutation.path} changed: mutate it anew"
    with copied(postgres_server, settled_world.database) as warehouse:
        manifest = broken(warehouse.settings, mutation)
        monkeypatch.setattr(build, "load_manifest", lambda settings, **more: manifest)
        try:
            build.run_dbt("build", mutation.built, warehouse.settings, as_of=AS_OF)
        except PermanentError as error:  # a table refuses what comes of it: seen even earlier
            if any(refusal in str(error) for refusal in REFUSALS):
                return
            raise
        assert differences(warehouse, settled_world.expected) != []


def test_names_are_unique() -> None:
    names = [str(mutation) for mutation in MUTATIONS]
    assert sorted(set(names)) == sorted(names)
    assert set(QUICK) <= set(names)
