"""The ERP over HTTP, read: what we write goes through `outbound`. The contract is openapi.yaml beside this file."""

from __future__ import annotations

from freightsync.domain.errors import UnreadableDocument
from freightsync.settings import Settings
from freightsync.systems.erp import codes
from freightsync.systems.erp.settings import address
from freightsync.systems.http import Api, Page
from freightsync.systems.parsed import load_list


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

    def balances(self, period: str) -> bytes:
        """The trial balance of one period (`2026-11`), as the ERP wrote it."""
        return self.api.get("ledger-balances", {"period": period})

    def locked_periods(self) -> frozenset[str]:
        """Periods that take no posting there. Raises UnreadableDocument for an answer that lists none."""
        try:
            items = load_list(self.api.get("periods"), "items")
            return frozenset(str(item["period"]) for item in items if item["status"] == "locked")
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableDocument(
                f"the answer for periods can't be read ({error})",
                partner="erp",
                document="periods",
                what_to_do="tell the ERP's owner that its answer breaks the contract; nothing was taken from it",
            ) from error

    def read_back(self, collection: str, cursor: str = "") -> Page:
        """A page of what we wrote, as the ERP holds it: statuses, freight-plans, customer-invoices, …"""
        return self.api.page(collection, cursor)
