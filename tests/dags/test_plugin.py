"""What Airflow's components load: the applications by their addresses, and nothing that only the API server can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.testclient import TestClient

from freightsync_plugin import FreightsyncPlugin

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def test_every_application_has_its_address() -> None:
    assert [app["url_prefix"] for app in FreightsyncPlugin.fastapi_apps] == [
        "/freightsync/inbound",
        "/freightsync/api",
        "/freightsync/invoices",
    ]


def test_each_answers_there_and_keeps_strangers_out() -> None:
    server = Starlette()
    for app in FreightsyncPlugin.fastapi_apps:
        server.mount(app["url_prefix"], app["app"])
    client = TestClient(server)
    assert client.get("/freightsync/inbound/health").json() == {"status": "ready"}
    assert client.get("/freightsync/api/v1/disputes").status_code in (401, 403)
    assert client.get("/freightsync/invoices/template").status_code in (401, 403)
    assert client.post("/freightsync/invoices/upload?carrier=WALD", content=b"x").status_code in (401, 403)


def test_a_scheduler_loads_no_security_of_the_api_server() -> None:
    code = "import sys, freightsync_plugin; print('airflow.api_fastapi.core_api.security' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLUGINS), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    assert done.stdout.split()[-1] == "False"
