"""The ERP over HTTP, read: what we write goes through `outbound`. The contract is openapi.yaml beside this file."""

from __future__ import annotations

from freightsync.settings import Settings
from freightsync.systems.erp import codes
from freightsync.systems.erp.settings import address
from freightsync.systems.http import Api, Page


class Erp:
    """Close it, or use it in a `with`. Errors are those of `systems.http`."""

    def __init__(self, api: Api) -> None:
        self.api = api

    @classmethod
    def connect(cls, settings: Settings) -> Erp:
        return cls(Api(address(settings)))

    def __enter__(self) -> Erp:
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def page(self, feed: str, cursor: str) -> Page:
        """A page of the collection that belongs to the feed."""
        return self.api.page(codes.COLLECTIONS[feed], cursor)

    def read_back(self, collection: str, cursor: str = "") -> Page:
        """A page of what we wrote, as the ERP holds it: statuses, freight-plans, customer-invoices, …"""
        return self.api.page(collection, cursor)
