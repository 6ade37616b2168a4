"""The TMS over HTTP, read: what we write goes through `outbound`."""

from __future__ import annotations

from freightsync.settings import Settings
from freightsync.systems.http import Api, Page
from freightsync.systems.tms.settings import address


class Tms:
    """Close it, or use it in a `with`. Errors are those of `systems.http`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    @classmethod
    def connect(cls, settings: Settings) -> Tms:
        return cls(Api(address(settings)))

    def __enter__(self) -> Tms:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def lanes(self, cursor: str) -> Page:
        return self.api.page("lanes", cursor)

    def events(self, cursor: str) -> Page:
        """Every event that the TMS ever sent by webhook, in its order: what was missed is found here."""
        return self.api.page("events", cursor)
