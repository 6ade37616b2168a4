"""A carrier that reads what we leave for it, and says so: each 824 in its directory is acknowledged by a 997, and
contested by an 824 of its own where it is about a bill that a scenario names."""

from __future__ import annotations

import asyncio
import logging

import asyncssh

from freightsync.sandbox import edi
from freightsync.sandbox.books import Books
from freightsync.sandbox.uploads import Uploader

log = logging.getLogger(__name__)

EVERY = 1.0
FEED = "carrier.edi_answer"


class Receipts:
    """Looks into `outbound/` of an uploader's carrier, where a scenario says that it does (`carriers`)."""

    def __init__(self, books: Books, uploader: Uploader) -> None:
        self.books, self.uploader = books, uploader

    async def run(self) -> None:
        """Looks for ever; cancel to stop."""
        uploader = self.uploader
        if not uploader.target.port or uploader.carrier not in uploader.target.users:
            return
        while True:
            connection: asyncssh.SSHClientConnection | None = None
            try:
                connection = await uploader.connect()
                sftp = await connection.start_sftp_client()
                while True:
                    if uploader.carrier in (self.books.kept("acknowledges") or ()):
                        await self._look(sftp)
                    await asyncio.sleep(EVERY)
            except (OSError, asyncssh.Error) as error:
                log.warning("%s can't look for what we left: %s", uploader.carrier, error)
            finally:
                if connection is not None:
                    connection.abort()
            await asyncio.sleep(EVERY)

    async def _look(self, sftp: asyncssh.SFTPClient) -> None:
        books = self.uploader.books
        for name in sorted(str(one) for one in await sftp.listdir("outbound")):
            if not name.startswith("824_") or not name.endswith(".edi") or books.kept(f"acknowledged {name}"):
                continue
            async with sftp.open(f"outbound/{name}", "rb") as file:
                read = await file.read()
            number = int(name[4:-4])
            content = read if isinstance(read, bytes) else read.encode()
            answer = edi.receipts(content, 500_000 + number)
            wrong = (self.books.kept("contests") or {}).get(self.uploader.carrier, {})
            contested = edi.contested(content, 600_000 + number, wrong)
            with books.together():
                books.keep(f"acknowledged {name}", True)
                if answer is not None:
                    self.uploader.add(f"997_{500_000 + number:09d}.edi", answer, [], note={"units": {FEED: 1}})
                if contested is not None:
                    self.uploader.add(f"824_{600_000 + number:09d}.edi", contested, [], note={"units": {FEED: 1}})
