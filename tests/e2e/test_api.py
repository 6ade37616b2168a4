"""The API for people, on the running stack: who gets in, what they may say, and that it is said once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from played_day import PlayedDay

pytestmark = [pytest.mark.timeout(600)]


class Persona:
    def __init__(self, day: PlayedDay, name: str) -> None:
        self.client = httpx.Client(base_url=day.settings.airflow_url, timeout=30, trust_env=False)
        if name:
            users = json.loads((day.settings.secrets_directory / "users.json").read_text())
            answer = self.client.post("/auth/token", json={"username": name, "password": users[name]["password"]})
            answer.raise_for_status()
            self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str) -> httpx.Response:
        return self.client.get(f"/freightsync/api/v1/{path}")

    def post(self, path: str, body: object) -> httpx.Response:
        return self.client.post(f"/freightsync/api/v1/{path}", json=body)


@pytest.fixture
def day(played_day: PlayedDay) -> PlayedDay:
    assert played_day.code == 0, played_day.output
    return played_day


@pytest.fixture
def finance(day: PlayedDay) -> Iterator[Persona]:
    persona = Persona(day, "finance")
    yield persona
    persona.client.close()


def test_nobody_gets_in_without_a_token_and_who_may_not_write_reads_only(day: PlayedDay, finance: Persona) -> None:
    stranger = Persona(day, "")
    assert stranger.get("disputes").status_code == 401
    assert stranger.post("approvals", {"bills": ["NRDF:1"], "verdict": "approved"}).status_code == 401
    steward = Persona(day, "steward")
    assert steward.get("disputes").status_code == 200
    bill = finance.get("disputes").json()[0]["carrier_invoice_id"]
    assert steward.post(f"disputes/{bill}/proposals", {}).status_code == 403


def test_a_dispute_of_the_day_is_worked_on(day: PlayedDay, finance: Persona) -> None:
    found = {case["invoice_number"]: case for case in finance.get("disputes?scac=NRDF&state=open").json()}
    expected = {
        key.split("/")[1]
        for key, entry in day.truth["documents"]["ours.verdict"].items()
        if key.startswith("NRDF/") and entry["verdict"] in ("out_of_tolerance", "unplanned_charge")
    }
    assert set(found) == expected
    case = next(iter(found.values()))
    bill = case["carrier_invoice_id"]
    shown = finance.get(f"disputes/{bill}").json()
    assert shown["lines"]
    assert shown["events"] == []
    answer = finance.post(f"disputes/{bill}/proposals", {"note": "as planned"})
    assert answer.status_code == 201, answer.text
    proposal = answer.json()["proposal"]
    shown = finance.get(f"disputes/{bill}").json()
    assert shown["state"] == "proposed"
    assert [(e["event_id"], e["said_by"], e["channel"]) for e in shown["events"]] == [(proposal, "finance", "api")]
    # nobody answers their own proposal, names another person, or speaks of what is not contested
    assert finance.post(f"proposals/{proposal}/answers", {"accept": True}).status_code == 409
    assert finance.post(f"proposals/{proposal}/answers", {"accept": True, "approved_by": "boss"}).status_code == 422
    assert finance.post(f"disputes/{bill}/proposals", {"charges": {"SH1/FUEL": "1.00"}}).status_code == 409
    assert finance.post(f"disputes/{bill}/proposals", {"charges": {"FUEL": "1.00"}}).status_code == 422
    assert finance.get("disputes/NRDF:999999999").status_code == 404
    assert finance.get("disputes/x';--").status_code == 422
