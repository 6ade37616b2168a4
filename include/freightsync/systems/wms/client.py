"""The WMS over HTTP: the only I/O with it."""

from __future__ import annotations

from freightsync.settings import Settings
from freightsync.systems.http import Api, Page
from freightsync.systems.wms.settings import address


class Wms:
    """Close it, or use it in a `with`. Errors are those of `systems.http`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    @classmethod
    def connect(cls, settings: Settings) -> Wms:
        return cls(Api(address(settings)))

    def __enter__(self) -> Wms:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def confirmations(self, cursor: str) -> Page:
        return self.api.page("ship-confirmations", cursor)
