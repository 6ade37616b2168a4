"""Files with something wrong or unusual about them: sent twice, cut off, damaged, written slowly, holding nonsense.

They are made of transactions that the day has anyway: these leave the carrier's gathering and travel in a file of their
own, whose bytes are in the scenario.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from freightsync.sandbox import edi

if TYPE_CHECKING:
    from freightsync.sandbox.scenario.generator import Generator

FEED = {"214": "carrier.status_x12", "210": "carrier.invoice_x12", "csv": "carrier.invoice_csv"}
Action = dict[str, Any]


def special_files(day: Generator) -> None:
    SpecialFiles(day).run()


class SpecialFiles:
    def __init__(self, day: Generator) -> None:
        self.day, self.rng, self.truth = day, day.rng, day.truth
        self._number = 9000
        self._moved: dict[str, str] = {}
        deliveries = [
            a
            for a in day.actions
            if a["do"] == "214"
            and a["transaction"]["scac"] == "NRDF"
            and any(e["status"] == "D1" and e["stop"] != 1 for e in a["transaction"]["events"])
        ]
        # one report of a shipment, the one that nothing else in such a file waits for
        first = {a["transaction"]["shipment_id"]: a for a in reversed(deliveries)}
        last_stop = {s.actions["delivered"] for s in day.shipments if "delivered" in s.actions}
        twice = {d[5:] for a in day.actions if a["do"] == "214" for d in a["after"]}
        self.free: dict[str, list[Action]] = {
            "214": [a for a in first.values() if a["id"] in last_stop and a["id"] not in twice],
            "210": [a for a in day.actions if a["do"] == "210" and a["plain"]],
            "csv": [a for a in day.actions if a["do"] == "csv" and a["plain"]],
        }
        for pool in self.free.values():
            pool.sort(key=lambda a: a["at"])

    def run(self) -> None:
        size = 2 if self.day.size < 150 else 3
        more = max(1, self.day.size // 400)
        for kind in ("214", "210", "csv") * more:
            self.sent_twice(kind, size)
        for _ in range(self.day.some(0.006)):
            self.cut_off(size)
        for kind in ("214", "210", "210"):
            self.damaged(kind, size)
        for kind in ("214", "210", "csv"):
            self.slow(kind, size)
        for _ in range(3):
            self.no_table()
        for _ in range(2):
            self.nonsense_210()
        self.nonsense_csv()
        for action in self.day.actions:
            if "after" in action:
                action["after"] = [self._renamed(fact) for fact in action["after"]]
                action["after"] = list(dict.fromkeys(action["after"]))

    def _renamed(self, fact: str) -> str:
        return f"done:{self._moved[fact[5:]]}" if fact.startswith("done:") and fact[5:] in self._moved else fact

    # -- taking transactions and making a file of them -----------------------------------------------------------------

    def take(self, kind: str, count: int) -> list[Action]:
        """Neighbours in time, taken out of the day."""
        pool = self.free[kind]
        self.day.insist(len(pool) >= count, f"files of {kind}")
        start = self.rng.randrange(len(pool) - count + 1)
        taken = pool[start : start + count]
        del pool[start : start + count]
        ids = {a["id"] for a in taken}
        self.day.actions[:] = [a for a in self.day.actions if a["id"] not in ids]
        return taken

    def name(self, kind: str) -> str:
        self._number += 1
        return f"invoices_{self._number}.csv" if kind == "csv" else f"{kind}_{self._number:06d}.edi"

    def content(self, kind: str, actions: list[Action]) -> str:
        if kind == "csv":
            return edi.invoices_csv([a["rows"] for a in actions]).decode()
        at = dt.datetime.fromisoformat(actions[-1]["written_at"])
        return edi.interchange(kind, [a["transaction"] for a in actions], self._number, at).decode()

    def file(
        self,
        kind: str,
        name: str,
        content: str,
        at: float,
        after: list[str],
        *,
        units: dict[str, int],
        manner: str = "rename",
        gap: float = 0,
        broken: str = "",
    ) -> str:
        """`_number`s go up by one a file; the action's id is new, so nothing before it knows it. broken: `envelope` or
        `transaction`, what of it can't be read."""
        partner = "bluw" if kind == "csv" else "nrdf"
        self.day.files += 1
        action_id = f"f{self.day.files:06d}"
        action = {
            "id": action_id,
            "at": round(at, 3),
            "do": "file",
            "partner": partner,
            "name": name,
            "content": content,
            "broken": broken,
        }
        self.day.actions.append(action | {"manner": manner, "units": units, "after": after, "gap": gap})
        return action_id

    def of_these(
        self, kind: str, actions: list[Action], *, manner: str = "rename", after: list[str] | None = None, at: float = 0
    ) -> tuple[str, str]:
        """A file of these transactions, sent when all of them are due; gives its action and its content."""
        name = self.name(kind)
        content = self.content(kind, actions)
        waits = sorted({fact for a in actions for fact in a["after"]}) + (after or [])
        due = max([at, *(a["at"] for a in actions)])
        units = {FEED[kind]: sum(n for a in actions for n in a["units"].values())}
        action_id = self.file(kind, name, content, due, waits, units=units, manner=manner, gap=20)
        self._moved |= {a["id"]: action_id for a in actions}
        return action_id, content

    # -- kinds of files ------------------------------------------------------------------------------------------------

    def sent_twice(self, kind: str, size: int) -> None:
        actions = self.take(kind, size)
        first, content = self.of_these(kind, actions)
        units = sum(n for a in actions for n in a["units"].values())
        self.truth.record(FEED[kind], "duplicate", sum(a.get("cents", 0) for a in actions), records=units)
        at = min(actions[-1]["at"] + self.rng.uniform(20, 90), 930)
        self.file(kind, self.name(kind), content, at, [f"done:{first}"], units={FEED[kind]: units})
        self.truth.trouble["duplicate_file"] += 1

    def cut_off(self, size: int) -> None:
        """A 210 whose end is missing, and later the whole of it: the transactions before the cut come twice."""
        actions = self.take("210", size)
        name, whole = self.name("210"), self.content("210", actions)
        # the last transaction's number, amount and currency are there, and a piece of what follows
        end = whole.index("~", whole.index("\nC3*", whole.rindex("\nB3*")))
        content = whole[: end + 1 + self.rng.randint(4, 12)]
        waits = sorted({fact for a in actions for fact in a["after"]})
        at = max(a["at"] for a in actions)
        units = {FEED["210"]: len(actions)}
        cut = self.file("210", name, content, at, waits, units=units, gap=20, broken="transaction")
        again = min(at + self.rng.uniform(40, 90), 930)
        self.of_these("210", actions, after=[f"done:{cut}"], at=again)
        self.truth.record(FEED["210"], "duplicate", sum(a["cents"] for a in actions[:-1]), records=len(actions) - 1)
        self.truth.record(FEED["210"], "quarantined", actions[-1]["cents"])
        number = actions[-1]["transaction"]["invoice_number"]
        self.truth.quarantine(FEED["210"], number, "truncated_transaction")
        self.truth.trouble["truncated_file"] += 1

    def damaged(self, kind: str, size: int) -> None:
        """A file whose ISA is unreadable, then the same content whole."""
        actions = self.take(kind, size)
        name = self.name(kind)
        content = self.content(kind, actions)
        # two elements of the ISA are lost
        content = content.replace("ISA*00*          *00*          *", "ISA*00*          *", 1)
        waits = sorted({fact for a in actions for fact in a["after"]})
        at = max(a["at"] for a in actions)
        broken = self.file(kind, name, content, at, waits, units={FEED[kind]: 1}, gap=20, broken="envelope")
        self.of_these(kind, actions, after=[f"done:{broken}"], at=min(at + self.rng.uniform(20, 60), 930))
        self.truth.record(FEED[kind], "quarantined")
        self.truth.quarantine(FEED[kind], name, "unreadable_interchange")
        self.truth.trouble["broken_isa"] += 1

    def slow(self, kind: str, size: int) -> None:
        """Written in place, piece by piece: whoever reads it too early gets a truncated file."""
        self.of_these(kind, self.take(kind, size), manner="slow")
        self.truth.trouble["file_still_being_written"] += 1

    def no_table(self) -> None:
        name = self.name("csv")
        content = "<html><head><title>502 Bad Gateway</title></head><body>\n<h1>Bad Gateway</h1>\n</body></html>\n"
        # no two of them alike: the same bytes again would be a duplicate
        content += f"<!-- {name} -->\n"
        self.file("csv", name, content, self.rng.uniform(300, 850), [], units={FEED["csv"]: 1}, manner="direct")
        self.truth.record(FEED["csv"], "quarantined")
        self.truth.quarantine(FEED["csv"], name, "unreadable_file")
        self.truth.trouble["unreadable_file"] += 1

    def nonsense_210(self) -> None:
        """A bill whose net amount is no number; the carrier sends it under a number of its own."""
        [like] = self.day.sample(self.free["210"], 1, "a bill of 210 without an amount")
        name = self.name("210")
        number = f"NRX{self._number}"
        bill = {**like["transaction"], "invoice_number": number, "net_amount": "77777777.77"}
        at = min(like["at"] + 15, 930)
        written = dt.datetime.fromisoformat(like["written_at"])
        content = edi.interchange("210", [bill], self._number, written).decode().replace("7777777777", "77SEE BELOW", 1)
        self.file("210", name, content, at, [f"done:{like['id']}"], units={FEED["210"]: 1}, broken="transaction")
        self.truth.record(FEED["210"], "quarantined")
        self.truth.quarantine(FEED["210"], number, "unreadable_value")
        self.truth.trouble["unreadable_value"] += 1

    def nonsense_csv(self) -> None:
        [like] = self.day.sample(self.free["csv"], 1, "a bill of CSV without an amount")
        name = self.name("csv")
        number = f"X{self._number}"
        rows = [{**row, "InvoiceNo": number, "InvoiceTotal": "see below"} for row in like["rows"]]
        at = min(like["at"] + 15, 930)
        content = edi.invoices_csv([rows]).decode()
        self.file("csv", name, content, at, [f"done:{like['id']}"], units={FEED["csv"]: 1})
        self.truth.record(FEED["csv"], "quarantined")
        self.truth.quarantine(FEED["csv"], number, "unreadable_value")
        self.truth.trouble["unreadable_value"] += 1
