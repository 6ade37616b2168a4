"""Where the ERP is."""

from __future__ import annotations

from freightsync.settings import Settings
from freightsync.systems.http import Address

PARTNER = "erp"


def address(settings: Settings) -> Address:
    partner = settings.partner(PARTNER)
    return Address(PARTNER, partner.base_url, partner.token.get_secret_value())
