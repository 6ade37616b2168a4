"""What Airflow's components load from here."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from freightsync_airflow import inbound, people


class FreightsyncPlugin(AirflowPlugin):
    """The web applications: for partners' webhooks, and for people and their tools."""

    name = "freightsync"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": inbound.application(), "url_prefix": "/freightsync/inbound", "name": "freightsync inbound"},
        {"app": people.Lazily(people.application), "url_prefix": "/freightsync/api", "name": "freightsync api"},
    ]
