"""What each persona may do through Airflow's API, as its own authorisation decides it: the rights of `roles.json` and
what each DAG adds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from .test_policy import LISTED, dag

STEWARDS = {"sync_master_data", "release_orders", "ingest_shipment_events", "ingest_carrier_invoices", "rate_shipments"}
FINANCE = {
    "apply_payments",
    "close_period",
    "invoice_on_pod",
    "post_accruals",
    "reconcile_ledger",
    "report_reconciliation",
    "revalue_open_items",
    "settle_freight",
    "work_disputes",
}
ALL = set(LISTED)


@dataclass(frozen=True)
class User:
    """A user as FAB hands it to the authorisation: with the rights of its roles."""

    perms: set[tuple[str, str]]


def holding(role: str) -> User:
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

    from freightsync_airflow import bootstrap

    built_in = {config["role"]: config["perms"] for config in FabAirflowSecurityManagerOverride.ROLE_CONFIGS}
    roles = json.loads((bootstrap.HERE / "roles.json").read_text(encoding="utf-8"))
    granted = bootstrap.wanted_permissions(roles[role], built_in)
    for name in LISTED:
        for action in dag(name).access_control.get(role, {}).get("DAGs", set()):
            granted.add((action, f"DAG:{name}"))
    return User(granted)


def allowed(role: str, method: Any, entity: str | None) -> set[str]:
    """The DAGs on which the role may do this."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

    manager, user = FabAuthManager(), holding(role)
    what = DagAccessEntity[entity] if entity else None
    return {
        name
        for name in LISTED
        if manager.is_authorized_dag(method=method, user=user, access_entity=what, details=DagDetails(id=name))  # type: ignore[arg-type]
    }


@pytest.mark.parametrize(
    ("role", "starts", "approves", "clears"),
    [
        ("steward", STEWARDS, STEWARDS, set()),
        ("finance", set(), FINANCE, set()),
        ("operator", ALL, ALL, ALL),
        ("data_engineer", ALL, ALL, ALL),
    ],
)
def test_each_persona_may_do_what_it_is_there_for(
    role: str, starts: set[str], approves: set[str], clears: set[str]
) -> None:
    assert allowed(role, "POST", "RUN") == starts
    assert allowed(role, "PUT", "HITL_DETAIL") == approves
    assert allowed(role, "PUT", "RUN") == clears
    assert allowed(role, "GET", "RUN") == ALL
    assert allowed(role, "DELETE", None) == (ALL if role == "data_engineer" else set())


def test_a_dag_is_open_only_to_roles_that_there_are() -> None:
    from freightsync_airflow import bootstrap

    roles = json.loads((bootstrap.HERE / "roles.json").read_text(encoding="utf-8"))
    assert {role for name in LISTED for role in dag(name).access_control} <= set(roles)
