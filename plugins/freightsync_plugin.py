"""What Airflow's components load from here."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from freightsync_airflow import inbound, people, uploads


class FreightsyncPlugin(AirflowPlugin):
    """The web applications: for partners that call us, for people and their tools, and for people who upload bills."""

    name = "freightsync"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": inbound.application(), "url_prefix": "/freightsync/inbound", "name": "freightsync inbound"},
        {"app": people.Lazily(people.application), "url_prefix": "/freightsync/api", "name": "freightsync api"},
        {
            "app": people.Lazily(uploads.application),
            "url_prefix": "/freightsync/invoices",
            "name": "freightsync invoices",
        },
    ]
