"""Landing: bytes and records exactly as received, once, with what the reader counted. Decides nothing.

`land` stores one document; `collect` asks partners for what is new and lands it; `inbound.receive` takes their calls.
"""

from typing import TYPE_CHECKING, Any

from freightsync.landing.feeds import FEEDS, Feed, UnknownFeed, feed
from freightsync.landing.store import Landed, land

if TYPE_CHECKING:
    from freightsync.landing.collecting import collect

__all__ = ["FEEDS", "Feed", "Landed", "UnknownFeed", "collect", "feed", "land"]


def __getattr__(name: str) -> Any:
    # HTTP and SSH clients take half a second to import: not on the way of a webhook or of the gate
    if name == "collect":
        from freightsync.landing.collecting import collect

        return collect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
