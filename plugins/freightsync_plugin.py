"""What Airflow's components load from here."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from freightsync_airflow import uploads
from freightsync_airflow.inbound import application


class FreightsyncPlugin(AirflowPlugin):
    """The web applications: for partners that call us, and for people who upload bills."""

    name = "freightsync"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": application(), "url_prefix": "/freightsync/inbound", "name": "freightsync inbound"},
        {"app": uploads.application(), "url_prefix": "/freightsync/invoices", "name": "freightsync invoices"},
    ]
