"""Business time: minutes from the start of a day that is the same for every seed."""

from __future__ import annotations

import base64
import datetime as dt
from zoneinfo import ZoneInfo

START = dt.datetime(2026, 11, 16, 10, 0, tzinfo=dt.UTC)
"""05:00 in New York, 02:00 in Los Angeles: the whole day has one date in every time zone of the country."""
MINUTES = 960


class Clock:
    def moment(self, minutes: float) -> dt.datetime:
        return (START + dt.timedelta(minutes=minutes)).replace(microsecond=0)

    def utc(self, minutes: float) -> str:
        return self.moment(minutes).isoformat()

    def local(self, minutes: float, zone: str) -> str:
        """Wall-clock time at a place, without offset."""
        return self.moment(minutes).astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()

    def written(self, minutes: float) -> str:
        """When a file says that it was written."""
        return self.moment(minutes).replace(tzinfo=None).isoformat()

    def paper(self, shipment: str, event_id: str) -> str:
        """A small document, in base64."""
        return base64.b64encode(f"Proof of delivery {shipment}\nReceived in good order. {event_id}\n".encode()).decode()
