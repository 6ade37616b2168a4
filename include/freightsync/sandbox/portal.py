"""People of ours, in the web applications that they have: they upload what carriers without a channel of their own sent
them, approve bills that wait for a person, and talk with carriers about bills that do not fit. Each under its own name,
again until it is taken in, kept over a restart."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx

from freightsync.sandbox.books import Books, wall_clock
from freightsync.sandbox.config import Portal
from freightsync.sandbox.outgoing import Outgoing

log = logging.getLogger(__name__)

PAUSES = (0.5, 1.0, 2.0, 4.0)


class People:
    """`upload` and `say` write down what somebody does; `sent(actions)` is told when our side has taken it in."""

    def __init__(self, books: Books, portal: Portal, sent: Callable[[list[str]], None]) -> None:
        self.books, self.portal = books, portal
        self.last_problem = ""
        self.outgoing = Outgoing("portal", "upload", books, sent)
        self._tokens: dict[str, str] = {}

    @property
    def waiting(self) -> int:
        """What is not taken in yet."""
        return self.outgoing.waiting

    def upload(self, content: bytes, actions: list[str], note: dict[str, Any]) -> None:
        """note: `by`, `carrier`, `name` and `kind` of the upload, and its `units`."""
        self.outgoing.add(content, actions, note)

    def say(self, actions: list[str], note: dict[str, Any]) -> None:
        """note: `by`, `says` (approved, rejected, or agreed: what is owed is proposed, and the carrier takes it), and
        the bill's `scac` and `number`."""
        self.outgoing.add(b"", actions, {**note, "units": {}})

    def forget(self) -> None:
        """Drops what waits (the books were cleared)."""
        self.outgoing.forget()

    async def run(self) -> None:
        """Goes on for ever; cancel to stop."""
        if not self.portal.url:
            return
        async with httpx.AsyncClient(timeout=httpx.Timeout(60, connect=5), trust_env=False) as client:
            while True:
                await self._deliver(client, await self.outgoing.queue.get())

    async def _deliver(self, client: httpx.AsyncClient, seq: int) -> None:
        era = self.outgoing.era
        attempt = 0
        while era == self.outgoing.era:
            row = self.books.one("select body, actions, note from delivery where seq = ?", (seq,))
            if row is None:
                return
            content, actions, note = row[0], json.loads(row[1]), json.loads(row[2])
            self.books.run(
                "update delivery set attempts = attempts + 1, first_sent_at = coalesce(first_sent_at, ?) where seq = ?",
                (wall_clock(), seq),
            )
            problem, may_have_arrived = await self._attempt(client, content, note)
            if era != self.outgoing.era:
                return
            if not problem:
                self.outgoing.acknowledged(seq, actions)
                return
            if may_have_arrived:
                self.books.log("resent", {"partner": "portal", "delivery": seq, "units": note["units"]})
            if problem != self.last_problem:
                log.warning("%s, attempt %s: %s", note.get("name") or note["number"], attempt + 1, problem)
                self.last_problem = problem
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1

    async def _attempt(self, client: httpx.AsyncClient, content: bytes, note: dict[str, Any]) -> tuple[str, bool]:
        """The problem ('' if none) and whether the file may have been taken in although nobody said so."""
        by = note["by"]
        try:
            if by not in self._tokens:
                known = {"username": by, "password": self.portal.people.get(by, "")}
                answer = await client.post(f"{self.portal.url}/auth/token", json=known)
                if not answer.is_success:
                    return f"{by} can't log in: {answer.status_code}", False
                self._tokens[by] = answer.json()["access_token"]
            mine = {"Authorization": f"Bearer {self._tokens[by]}"}
            if "says" in note:
                said = await self._say(client, mine, note)
                if said is None:
                    return f"{note['scac']} {note['number']} does not wait for anybody yet", False
                answer = said
            else:
                answer = await client.post(
                    f"{self.portal.url}/freightsync/invoices/upload",
                    params={name: note[name] for name in ("carrier", "name", "kind")},
                    content=content,
                    headers=mine,
                )
        except httpx.ConnectError as error:
            return f"no connection to {self.portal.url} ({error})", False
        except httpx.HTTPError as error:
            return f"no answer from {self.portal.url} ({type(error).__name__})", True
        if answer.status_code == 401:
            del self._tokens[by]
            return f"{by} has to log in again", False
        # with some bills that can't be read: the others are in, and those are kept in quarantine
        if answer.is_success or (answer.status_code == 422 and "document_id" in answer.json()):
            return "", False
        return f"{self.portal.url} answered {answer.status_code}", answer.is_server_error

    async def _say(
        self, client: httpx.AsyncClient, mine: dict[str, str], note: dict[str, Any]
    ) -> httpx.Response | None:
        """The last answer; None where our side does not list the bill (yet)."""
        api = f"{self.portal.url}/freightsync/api/v1"
        agrees = note["says"] == "agreed"
        listed = await client.get(f"{api}/{'disputes' if agrees else 'approvals'}", headers=mine)
        if not listed.is_success:
            return listed
        known = {(one["scac"], one["invoice_number"]): one["carrier_invoice_id"] for one in listed.json()}
        bill = known.get((note["scac"], note["number"]))
        if bill is None:
            return None
        if not agrees:
            body = {"bills": [bill], "verdict": note["says"], "note": "as ordered"}
            return await client.post(f"{api}/approvals", json=body, headers=mine)
        proposed = await client.post(f"{api}/disputes/{bill}/proposals", json={"note": "as planned"}, headers=mine)
        if not proposed.is_success:
            return proposed
        said = {"accept": True, "party": "carrier", "note": "by telephone"}
        return await client.post(f"{api}/proposals/{proposed.json()['proposal']}/answers", json=said, headers=mine)
