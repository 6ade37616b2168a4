"""What Airflow's components load from here."""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from freightsync_airflow.inbound import application


class FreightsyncPlugin(AirflowPlugin):
    """The inbound web application."""

    name = "freightsync"
    fastapi_apps: ClassVar[list[Any]] = [
        {"app": application(), "url_prefix": "/freightsync/inbound", "name": "freightsync inbound"}
    ]
