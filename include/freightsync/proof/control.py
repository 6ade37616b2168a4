"""What a played day is steered through: the sandbox partners' control interface and Airflow's REST API."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from freightsync.settings import Settings


class ControlError(Exception):
    """A call to the sandbox or to Airflow was refused or not answered; says which and what it said."""


class Sandbox:
    """Control interface of the sandbox partners."""

    def __init__(self, settings: Settings) -> None:
        token = settings.partner("erp").token.get_secret_value()
        self._client = httpx.Client(
            base_url=settings.sandbox_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    def load(self, scenario: Path) -> None:
        """Takes the scenario; what it says was there before the day is there now."""
        _checked(self._client.post("/_sandbox/scenario", json={"path": str(scenario.resolve())}))

    def start(self, seconds: float) -> None:
        """Starts the day's clock, compressed to this many seconds."""
        _checked(self._client.post("/_sandbox/start", json={"seconds": seconds}))

    def day(self) -> dict[str, Any]:
        """How far the day is, what it waits for; `quiet`: nothing more will come from any partner."""
        found: dict[str, Any] = _checked(self._client.get("/_sandbox/day"))
        return found

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What the partners noted with their own clocks, oldest first."""
        items: list[dict[str, Any]] = _checked(self._client.get("/_sandbox/log", params={"kind": kind}))["items"]
        return items

    def close(self) -> None:
        self._client.close()


class Airflow:
    """Airflow's REST API, as any user calls it."""

    def __init__(self, settings: Settings, user: str = "admin") -> None:
        users = json.loads((settings.secrets_directory / "users.json").read_text(encoding="utf-8"))
        self._client = httpx.Client(base_url=settings.airflow_url, timeout=60, trust_env=False)
        self._user, self._password = user, users[user]["password"]
        self._authorise()

    def _authorise(self) -> None:
        answer = _checked(
            self._client.post("/auth/token", json={"username": self._user, "password": self._password}), (200, 201)
        )
        self._client.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """A call below /api/v2. Raises ControlError."""
        answer = self._client.request(method, f"/api/v2{path}", **given)
        if answer.status_code == 401:
            self._authorise()
            answer = self._client.request(method, f"/api/v2{path}", **given)
        found: dict[str, Any] = _checked(answer, (200, 201, 202))
        return found

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Starts a run; returns its id."""
        run = self.call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": dict(conf or {})})
        return str(run["dag_run_id"])

    def wait(self, dag_id: str, run_id: str, seconds: float) -> str:
        """The state in which a run ended. Raises ControlError where it has not after these seconds."""
        deadline = time.monotonic() + seconds
        while True:
            run = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
            if run["state"] in ("success", "failed"):
                return str(run["state"])
            if time.monotonic() > deadline:
                raise ControlError(f"{dag_id} {run_id} is still {run['state']} after {seconds:.0f} s")
            time.sleep(0.5)

    def runs(self, dag_id: str = "~", **query: Any) -> dict[str, Any]:
        """A page of a DAG's runs, or of all DAGs': {"dag_runs", "total_entries"}."""
        return self.call("GET", f"/dags/{dag_id}/dagRuns", params=query)

    def close(self) -> None:
        self._client.close()


@contextlib.contextmanager
def controls(settings: Settings) -> Iterator[tuple[Sandbox, Airflow]]:
    sandbox, airflow = Sandbox(settings), Airflow(settings)
    try:
        yield sandbox, airflow
    finally:
        sandbox.close()
        airflow.close()


def _checked(answer: httpx.Response, accepted: tuple[int, ...] = (200, 201)) -> Any:
    if answer.status_code not in accepted:
        raise ControlError(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}")
    return answer.json()
