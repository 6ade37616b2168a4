"""An SFTP server on loopback: where carriers leave files and freightsync fetches them, over the real protocol.

Every account is locked into a directory of its own. The collecting account (`root: ""`) sees all of them; a carrier's
sees only `<name>/`, with `inbound/` to drop files in and `archive/` where they go once read. Passwords and the ed25519
host key come from the configuration file, so a client can pin the key before the first connection.

    python -m freightsync.sandbox.sftp_server --config FILE

    {"host": "127.0.0.1", "port": 2222, "root": "…/sftp", "host_key": "…/sftp_host_key",
     "users": {"freightsync": {"password": "…", "root": ""}, "nrdf": {"password": "…", "root": "nrdf"}}}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hmac
import json
import logging
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncssh

DIRECTORIES = ("inbound", "outbound", "archive")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """A user: its password and the directory, under the server's root, that it is locked into."""

    password: str
    root: str


@dataclass(frozen=True)
class ServerConfig:
    host: str
    port: int
    root: Path
    host_key: Path
    users: Mapping[str, Account]

    @classmethod
    def read(cls, path: Path) -> ServerConfig:
        found = json.loads(path.read_text(encoding="utf-8"))
        users = {name: Account(**account) for name, account in found["users"].items()}
        return cls(found["host"], int(found["port"]), Path(found["root"]), Path(found["host_key"]), users)


def ensure_host_key(path: Path) -> str:
    """Makes the ed25519 host key if there is none; returns the public part as a client pins it
    (`ssh-ed25519 AAAA…`)."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        staging = path.with_name(f".{path.name}.new")
        staging.unlink(missing_ok=True)
        staging.touch(mode=0o600)
        staging.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        staging.replace(path)
    public = asyncssh.read_private_key(str(path)).export_public_key("openssh").decode("ascii")
    return " ".join(public.split()[:2])


def ensure_directories(root: Path, users: Mapping[str, Account]) -> None:
    """`<root>/<user>/{inbound,outbound,archive}` for every account that is locked into a directory."""
    root.mkdir(parents=True, exist_ok=True)
    for account in users.values():
        if account.root:
            for name in DIRECTORIES:
                (root / account.root / name).mkdir(parents=True, exist_ok=True)


class _Login(asyncssh.SSHServer):
    def __init__(self, users: Mapping[str, Account]) -> None:
        self._users = users

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        account = self._users.get(username)
        expected = account.password if account else ""
        return hmac.compare_digest(expected.encode(), password.encode()) and bool(expected)


class _LockedIn(asyncssh.SFTPServer):
    """The chroot is lexical: a link with a relative target would lead out of it, so there are no links."""

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise asyncssh.SFTPPermissionDenied("links are not allowed")

    link = symlink


async def serve(config: ServerConfig) -> asyncssh.SSHAcceptor:
    """Starts the server and returns it listening; `get_port()` tells the port where 0 was asked for."""
    ensure_host_key(config.host_key)
    ensure_directories(config.root, config.users)

    def locked_in(channel: asyncssh.SSHServerChannel[bytes]) -> _LockedIn:
        account = config.users[channel.get_extra_info("username")]
        return _LockedIn(channel, chroot=str(config.root / account.root).encode())

    return await asyncssh.listen(
        config.host,
        config.port,
        server_factory=lambda: _Login(config.users),
        server_host_keys=[str(config.host_key)],
        sftp_factory=locked_in,
        sftp_version=3,
        allow_scp=False,
        allow_pty=False,
        agent_forwarding=False,
        reuse_address=True,
        keepalive_interval=30,
    )


async def _run(config: ServerConfig) -> None:
    server = await serve(config)
    log.info("SFTP on %s port %s", config.host, server.get_port())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    server.close()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(server.wait_closed(), 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="freightsync.sandbox.sftp_server", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--config", type=Path, required=True)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    asyncio.run(_run(ServerConfig.read(given.config)))


if __name__ == "__main__":
    main()
