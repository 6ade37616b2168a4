"""What `python -m freightsync.sandbox serve --config FILE.json` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PartnerName = Literal["erp", "tms", "wms", "bluw", "driver"]
DEPLOYMENT = Path(__file__).parent / "deployment"
"""Who only sends to the sandbox, as a deployment's own carrier folder."""
COMPANY = DEPLOYMENT / "company"
"""What only the sandbox's company can say: contracts with carriers and policies, as a deployment's own files."""
PARTNERS: tuple[PartnerName, ...] = ("erp", "tms", "wms", "bluw", "driver")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SftpTarget(_Part):
    """The server that carriers upload to."""

    host: str = "127.0.0.1"
    port: int = 0
    host_key: str = Field(default="", description="pinned: `ssh-ed25519 AAAA…`; an unpinned server is refused")
    users: dict[str, str] = Field(default_factory=dict, description="carrier -> password")


class Portal(_Part):
    """Where our own people upload what they were sent, and who they are."""

    url: str = ""
    people: dict[str, str] = Field(default_factory=dict, description="user -> password")


class SandboxConfig(_Part):
    """Ports, tokens and secrets of every partner system.

    `ports`: partner -> port on loopback, 0 picks a free one (shown by `/_sandbox/health`).
    `tokens`: partner -> bearer token that its callers must show; the control interface takes the ERP's.
    `webhook_secrets`: tms, bluw, driver -> the secret that their webhooks to us are signed with.
    `inbound_url`: webhooks go to `<inbound_url>/webhooks/<partner>`; empty: they wait. `portal`: empty: uploads wait.
    """

    home: Path
    ports: dict[PartnerName, int] = Field(default_factory=dict)
    tokens: dict[str, str] = Field(default_factory=dict)
    webhook_secrets: dict[str, str] = Field(default_factory=dict)
    inbound_url: str = ""
    sftp: SftpTarget = SftpTarget()
    portal: Portal = Portal()

    @classmethod
    def read(cls, path: Path) -> SandboxConfig:
        """The configuration in a JSON file. Raises ValidationError naming what is wrong, OSError if unreadable."""
        return cls.model_validate_json(path.read_bytes())
