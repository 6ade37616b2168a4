"""Files on the SFTP server as an event source: one connection looks for everybody, and no worker waits."""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import time
from collections.abc import AsyncIterator, Hashable
from typing import Any

import asyncssh
import psycopg
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from freightsync.settings import SftpSettings, settings
from freightsync_airflow.triggers.pace import Lookout, Pace

# it tells of every connection and request; the triggerer's log is for what went wrong
logging.getLogger("asyncssh").setLevel(logging.WARNING)

RECONNECT_SECONDS = 3.0
SAME_FILES_SECONDS = 9.0
"""How long whoever was told of some files has for them before being told again; longer than a file without its end
stays untaken, so that one more wake-up finds it due."""
HALF_WRITTEN = (".tmp", ".part", ".filepart")

Look = dict[str, tuple[int, int]]
"""What one look saw: path → (bytes, modification time in whole seconds)."""


def stable(before: Look, now: Look) -> list[str]:
    """Paths that two looks saw with one size and one modification time, and whose name says that they are whole."""
    return sorted(
        path for path, seen in now.items() if before.get(path) == seen and not path.lower().endswith(HALF_WRITTEN)
    )


def matters(path: str, pattern: str) -> bool:
    """Whether the file's name fits the shell pattern, or with a `!` before it, does not."""
    name = path.rsplit("/", 1)[-1]
    if pattern.startswith("!"):
        return not fnmatch.fnmatch(name, pattern[1:])
    return fnmatch.fnmatch(name, pattern)


class SftpFilesTrigger(BaseEventTrigger):
    """Wakes a consumer when whole files lie in a directory.

    consumer     pipeline that fetches them
    directories  looked at; every trigger with the same ones shares one connection
    pattern      shell pattern of the file names that matter to this consumer; after a `!`, of those that don't
    interval     at least this many seconds between two wake-ups
    look_every   seconds between two looks
    """

    def __init__(
        self, consumer: str, directories: list[str], pattern: str, interval: float = 0.0, look_every: float = 1.0
    ) -> None:
        super().__init__()
        self.consumer = consumer
        self.directories = list(directories)
        self.pattern = pattern
        self.interval = interval
        self.look_every = look_every

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            "freightsync_airflow.triggers.sftp.SftpFilesTrigger",
            {
                "consumer": self.consumer,
                "directories": self.directories,
                "pattern": self.pattern,
                "interval": self.interval,
                "look_every": self.look_every,
            },
        )

    def shared_stream_key(self) -> Hashable:
        return ("sftp", tuple(self.directories), self.look_every)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[str]]:
        """The paths of whole files at every look that finds some."""
        before: Look = {}
        missing: set[str] = set()
        while True:
            try:
                async with _connected(settings().sftp) as connection, connection.start_sftp_client() as sftp:
                    while True:
                        now = await _look(sftp, kwargs["directories"], missing)
                        whole = stable(before, now)
                        before = now
                        if whole:
                            yield whole
                        await asyncio.sleep(kwargs["look_every"])
            except (OSError, asyncssh.Error) as error:
                # a server that restarts is no reason to stop watching; the DAG's own sweep reports one that stays away
                cls.logger().warning("SFTP is away, looking again in %s s: %s", RECONNECT_SECONDS, error)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[list[str]]) -> AsyncIterator[TriggerEvent]:
        pace = Pace(self.interval)
        told: tuple[list[str], float] = ([], 0.0)
        async for whole in shared_stream:
            names = [path for path in whole if matters(path, self.pattern)]
            # a file that nobody takes (no pattern of the carrier fits it) must not keep a run going for ever
            if not names or (names == told[0] and time.monotonic() - told[1] < SAME_FILES_SECONDS):
                continue
            try:
                async with Lookout(self.consumer) as lookout:
                    seen = await lookout.look()
                    if seen["busy"]:
                        await lookout.nudge()
                        told = names, time.monotonic()
            except psycopg.OperationalError as error:
                self.log.warning("%s: the warehouse is away: %s", self.consumer, error)
                continue
            if pace.fires(pending=True, busy=seen["busy"], last_run=seen["last_run"]):
                told = names, time.monotonic()
                yield TriggerEvent({"consumer": self.consumer, "cause": f"{len(names)} files", "first": names[0]})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event


def _connected(sftp: SftpSettings) -> Any:
    """A connection that accepts the pinned host key and no other."""
    pinned = f"[{sftp.host}]:{sftp.port} {sftp.host_key}\n" if sftp.port != 22 else f"{sftp.host} {sftp.host_key}\n"
    return asyncssh.connect(
        sftp.host,
        port=sftp.port,
        username=sftp.user,
        password=sftp.password.get_secret_value(),
        known_hosts=asyncssh.import_known_hosts(pinned),
        client_keys=None,
        agent_path=None,
        config=None,
        keepalive_interval=15,
    )


async def _look(sftp: asyncssh.SFTPClient, directories: list[str], missing: set[str]) -> Look:
    """missing: directories that are not there, and were reported; one of them must not hide the others' files."""
    found: Look = {}
    for directory in directories:
        try:
            entries = await sftp.readdir(directory)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            if directory not in missing:
                missing.add(directory)
                SftpFilesTrigger.logger().warning("there is no directory %s on the SFTP server: make it", directory)
            continue
        missing.discard(directory)
        for entry in entries:
            name = entry.filename if isinstance(entry.filename, str) else entry.filename.decode("utf-8", "replace")
            attributes = entry.attrs
            if name in (".", "..") or attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
                continue
            found[f"{directory}/{name}"] = (attributes.size or 0, attributes.mtime or 0)
    return found
