"""Landing: bytes and records exactly as received, once, with what the reader counted. Decides nothing.

`land` stores one document; `collect` asks partners for what is new and lands it; `inbound.receive` takes their calls.
"""

from freightsync.landing.feeds import FEEDS, Feed, UnknownFeed, feed
from freightsync.landing.store import Landed, land

__all__ = ["FEEDS", "Feed", "Landed", "UnknownFeed", "feed", "land"]
