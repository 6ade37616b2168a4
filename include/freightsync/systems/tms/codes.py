"""What the TMS calls things."""

from __future__ import annotations

CODE_SET = "tms"
PLAN_EVENT = "shipment_planned"
"""The one event type that carries a plan; every other one is a status of a shipment."""
