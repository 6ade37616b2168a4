"""A carrier's uploads by SFTP, over real SSH, with the server's key pinned.

Three manners: `rename` (written as `<name>.tmp`, then renamed), `direct` (written in place at once), `slow` (written in
place, piece by piece, over some seconds: whoever reads it too early gets half a file).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import asyncssh

from freightsync.sandbox.books import Books, wall_clock
from freightsync.sandbox.config import SftpTarget
from freightsync.sandbox.outgoing import Outgoing

log = logging.getLogger(__name__)

SLOW_PIECES = 14
SLOW_PAUSE = 0.4
PAUSES = (0.5, 1.0, 2.0, 4.0)


class Uploader:
    """`add` writes a file to the books and uploads it to `inbound/`; `sent(actions)` is told when it is there whole."""

    def __init__(self, carrier: str, books: Books, target: SftpTarget, sent: Callable[[list[str]], None]) -> None:
        self.carrier, self.books, self.target = carrier, books, target
        self.last_problem = ""
        self.outgoing = Outgoing(carrier, "sftp", books, sent)

    @property
    def waiting(self) -> int:
        """Files that are not there whole yet."""
        return self.outgoing.waiting

    def add(
        self, name: str, content: bytes, actions: list[str], manner: str = "rename", note: dict[str, Any] | None = None
    ) -> None:
        self.outgoing.add(content, actions, {**(note or {}), "name": name, "manner": manner})

    def forget(self) -> None:
        """Drops what waits (the books were cleared)."""
        self.outgoing.forget()

    async def run(self) -> None:
        """Uploads for ever; cancel to stop. A slow upload does not hold up the files behind it."""
        slow: set[asyncio.Task[None]] = set()
        attempt = 0
        if not self.target.port or self.carrier not in self.target.users:
            return
        while True:
            connection: asyncssh.SSHClientConnection | None = None
            try:
                connection = await self.connect()
                sftp = await connection.start_sftp_client()
                attempt = 0
                while True:
                    seq = await self.outgoing.queue.get()
                    era = self.outgoing.era
                    try:
                        await self._upload(sftp, seq, slow)
                    except BaseException:
                        if era == self.outgoing.era:
                            self.outgoing.queue.put_nowait(seq)
                        raise
            except (OSError, asyncssh.Error) as error:
                problem = f"{type(error).__name__}: {error}"
                if problem != self.last_problem:
                    log.warning("upload of %s: %s", self.carrier, problem)
                    self.last_problem = problem
            finally:
                if connection is not None:
                    connection.abort()
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    async def connect(self) -> asyncssh.SSHClientConnection:
        known = asyncssh.import_known_hosts(f"[{self.target.host}]:{self.target.port} {self.target.host_key}\n")
        return await asyncssh.connect(
            self.target.host,
            self.target.port,
            username=self.carrier,
            password=self.target.users[self.carrier],
            known_hosts=known,
            client_keys=None,
            agent_path=None,
            config=None,
        )

    async def _upload(self, sftp: asyncssh.SFTPClient, seq: int, slow: set[asyncio.Task[None]]) -> None:
        row = self.books.one("select body, actions, note, attempts from delivery where seq = ?", (seq,))
        if row is None:
            return
        era = self.outgoing.era
        content, actions, note = row[0], json.loads(row[1]), json.loads(row[2])
        self.books.run(
            "update delivery set attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?) where seq = ?",
            (wall_clock(), seq),
        )
        path = f"inbound/{note['name']}"
        if row[3]:
            # an earlier attempt broke off somewhere; the file may have arrived whole and been taken already
            self.books.log("resent", {"partner": self.carrier, "delivery": seq, "units": note.get("units", {})})
        if note["manner"] == "slow":
            task = asyncio.create_task(self._slowly(sftp, path, content, seq, actions, era))
            slow.add(task)
            task.add_done_callback(slow.discard)
            return
        if note["manner"] == "rename":
            await _write(sftp, path + ".tmp", content)
            if row[3] and await sftp.exists(path):
                await sftp.remove(path)
            await sftp.rename(path + ".tmp", path)
        else:
            await _write(sftp, path, content)
        self._done(seq, actions, era)

    async def _slowly(
        self, sftp: asyncssh.SFTPClient, path: str, content: bytes, seq: int, actions: list[str], era: int
    ) -> None:
        size = max(1, -(-len(content) // SLOW_PIECES))
        try:
            async with sftp.open(path, "wb") as file:
                for start in range(0, len(content), size):
                    await file.write(content[start : start + size])
                    await asyncio.sleep(SLOW_PAUSE)
        except (OSError, asyncssh.Error) as error:
            log.warning("slow upload of %s broke off: %s; it starts again", path, error)
            if era == self.outgoing.era:
                self.outgoing.queue.put_nowait(seq)
            return
        self._done(seq, actions, era)

    def _done(self, seq: int, actions: list[str], era: int) -> None:
        """`era`: the upload began before or after the books were last cleared."""
        if era != self.outgoing.era:
            return
        self.outgoing.acknowledged(seq, actions)


async def _write(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)
