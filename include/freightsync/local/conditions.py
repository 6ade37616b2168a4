"""Conditions of tax rules: how they are written, and the facts that they may speak of.

A condition is `fact=value|value` (any of them) or `fact=!value|value` (none of them); several are joined by `;` and
must all hold. A fact that is not known makes the rule undecidable, and the line is refused by name: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FACTS: Mapping[str, str] = {
    "supply": "goods (with their delivery) or transport (a service of its own); from the tax policy",
    "line.kind": "goods, freight or accessorial",
    "line.stated": "separate: a line of its own; included: within the price",
    "line.tax_class": "the item's tax class in the ERP; of freight, the one class of everything carried, or mixed",
    "line.basis": "actual: freight billed at no more than its planned cost; marked_up: above it",
    "goods.taxability": "of the goods that freight belongs to: all, none or mixed are taxed; no_goods",
    "move.carrier": "common carrier, or own vehicles",
    "move.arranged_by": "who arranges the transport: seller or buyer",
    "ship_from.country": "ISO 3166 code",
    "ship_from.region": "state or province",
    "ship_from.zones": "zones that the country belongs to that day",
    "ship_to.country": "ISO 3166 code",
    "ship_to.region": "state or province",
    "ship_to.zones": "zones that the country belongs to that day",
    "ship_to.is": "seen from where it ships: same_region, same_country or abroad; needs both countries",
    "customer.country": "where the customer is established",
    "customer.region": "state or province of the customer",
    "customer.zones": "zones that the customer's country belongs to that day",
    "customer.is": "seen from the seller: same_region, same_country or abroad; needs the customer's country",
    "customer.status": "business, consumer or government",
    "customer.tax_id": "valid or malformed by its form, or absent; unchecked where no form is known",
    "customer.certificate": "kind of the certificate that is valid for the place of delivery that day, or none",
    "seller.country": "of the establishment that sells",
    "seller.region": "state or province of the seller",
    "seller.zones": "zones that the seller's country belongs to that day",
    "seller.registered": "yes or no: registered for tax at the place of delivery",
}
"""Facts that every line has or lacks."""

OPEN = ("customer.", "seller.")
"""Under these names, what the ERP's tax profile and our registrations declare besides (`customer.pickup_option`)."""

_NAME = re.compile(r"^[a-z_]+(\.[a-z0-9_]+)?$")
_VALUE = re.compile(r"^[A-Za-z0-9_.-]+$")


def compile_conditions(text: str) -> dict[str, dict[str, list[str]]]:
    """`a=b|c; d=!e` → {"a": {"in": ["b", "c"]}, "d": {"not": ["e"]}}. Raises ValueError in words."""
    found: dict[str, dict[str, list[str]]] = {}
    for part in filter(None, (piece.strip() for piece in text.split(";"))):
        name, equals, values = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.match(name):
            raise ValueError(f"{part!r} is no condition; write fact=value|value")
        if name not in FACTS and not name.startswith(OPEN):
            raise ValueError(f"there is no fact {name!r}; known are {', '.join(FACTS)}, and customer.… and seller.…")
        if name in found:
            raise ValueError(f"{name} is asked twice; write its values in one condition")
        how = "not" if values.startswith("!") else "in"
        given = [value.strip() for value in values.removeprefix("!").split("|")]
        if wrong := [value for value in given if not _VALUE.match(value)]:
            raise ValueError(f"{name}: {wrong[0]!r} is no value")
        found[name] = {how: given}
    if not found:
        raise ValueError("a rule without conditions would hold for everything")
    return found
