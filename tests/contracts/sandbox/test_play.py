"""A whole small day over real HTTP and SFTP, with a stand-in for our side that does the least we have to do."""

from __future__ import annotations

import csv
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freightsync.formats import edifact
from freightsync.formats.x12 import NotX12Error, PartnerProfile, Status214, read
from freightsync.sandbox.config import SftpTarget
from freightsync.sandbox.play import STUCK, UNREACHABLE, play
from freightsync.sandbox.scenario import generate

from .conftest import Office, Partners, Receiver

MASTER = (
    *("customers", "ship-tos", "items", "carriers", "charge-codes", "exchange-rates"),
    *("tax-profiles", "tax-rates", "purchase-orders", "stock-positions"),
)


ADVICE = """ISA*00*          *00*          *ZZ*FREIGHTSYNC    *02*NRDF           *261116*1853*U*00401*000000007*0*P*:~
GS*AG*FREIGHTSYNC*NRDF*20261116*1853*7*X*004010~
ST*824*0001~
BGN*00*000000007*20261116*185335~
OTI*TR*IK*NR1*****41*0011*210~
TED*010*lines do not sum~
SE*5*0001~
GE*1*7~
IEA*1*000000007~
"""


class StandIn(threading.Thread):
    """Releases what the TMS expects, gives the ERP its freight plans, and pays what is to be paid."""

    def __init__(self, partners: Partners, receiver: Receiver, expected: dict[str, Any], truth: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.partners, self.receiver, self.expected, self.truth = partners, receiver, expected, truth
        self.over = threading.Event()
        self.orders: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._cursor, self._plans, self._read = "", 0, 0

    def run(self) -> None:
        for name in MASTER:
            self.partners.call("erp", "GET", f"/api/v1/{name}", params={"limit": 1000})
        self.partners.call("tms", "GET", "/api/v1/lanes", params={"limit": 1000})
        for key, fields in self.truth["documents"]["erp.supplier_invoice"].items():
            self.pay(key, fields)
        while not self.over.wait(0.1):
            self.release_orders()
            self.post_plans()

    def good(self, partner: str, method: str, path: str, key: str, document: dict[str, Any]) -> None:
        """Calls until taken; the day has faults in it."""
        for _ in range(9):
            try:
                answer = self.partners.call(partner, method, path, key=key, json=document)
            except Exception as error:
                self.problems.append(type(error).__name__)
                continue
            if answer.is_success:
                return
            if answer.status_code not in (429, 503):
                self.problems.append(answer.text)
                return

    def pay(self, key: str, fields: dict[str, Any]) -> None:
        scac, number = key.split("/")
        lines = []
        for line, amount in fields["lines"].items():
            shipment, charge = line.split("/")
            accounts = {"debit_account": "6100", "credit_account": "2100"}
            lines.append({"charge_code": charge, "shipment_id": shipment, "amount": amount, **accounts})
        document = {"reference": key, "scac": scac, "invoice_number": number, "lines": lines}
        document |= {"invoice_on": "2026-11-16", "total": fields["total"], "currency": fields["currency"]}
        self.good("erp", "POST", "/api/v1/supplier-invoices", f"pay {key}", document)

    def bill(self, order: str) -> None:
        """The customers' invoices of an order, so that somebody can pay them."""
        for key, fields in self.truth["documents"]["erp.customer_invoice"].items():
            number, _, shipment = key.partition("/")
            if number != order:
                continue
            line = {"kind": "freight", "order_line": None, "description": "All", "amount": fields["total"]}
            document = {
                "reference": key,
                "invoice_id": key,
                "customer_id": fields["customer_id"],
                "order_number": order,
                "shipment_ids": [shipment] if shipment else [],
                "currency": "USD",
                "invoice_on": "2026-11-16",
                "total": fields["total"],
                "lines": [{**line, "ledger_account": "4100"}],
            }
            self.good("erp", "POST", "/api/v1/customer-invoices", f"bill {key}", document)

    def release_orders(self) -> None:
        page = self.partners.call("erp", "GET", "/api/v1/sales-orders", params={"cursor": self._cursor}).json()
        self._cursor = page["next_cursor"]
        for order in page["items"]:
            self.orders.append(order)
            number, version = order["order_number"], order["version"]
            expected = self.expected.get(f"{number}/{version}")
            if expected is None:
                continue
            lines = [{**line} for line in expected["lines"]]
            document = {**order, "lines": lines}
            if order["status"] == "cancelled":
                self.good("tms", "POST", f"/api/v1/orders/{number}/cancel", f"{number}/{version}", {"version": version})
            elif version == 1:
                self.good("tms", "POST", "/api/v1/orders", f"{number}/{version}", document)
                self.bill(number)
            else:
                self.good("tms", "PUT", f"/api/v1/orders/{number}", f"{number}/{version}", document)

    def post_plans(self) -> None:
        calls = self.receiver.calls[self._read :]
        self._read += len(calls)
        plans = []
        for partner, body, _ in calls:
            for event in body["events"] if partner == "tms" else ():
                if event["event_type"] != "shipment_planned":
                    continue
                data = event["data"]
                names = ("shipment_id", "plan_version", "scac", "booking_reference", "currency")
                orders = sorted({line["order_number"] for line in data["order_lines"]})
                freight = self.truth["documents"]["erp.freight_plan"][data["shipment_id"]]["estimated_freight"]
                plan = {name: data[name] for name in names} | {"order_numbers": orders, "estimated_freight": freight}
                plans.append({**plan, "idempotency_key": event["event_id"]})
        for start in range(0, len(plans), 200):
            batch = {"plans": plans[start : start + 200]}
            answer = self.partners.call("erp", "POST", "/api/v1/freight-plans", json=batch).json()
            self.problems += [r["message"] for r in answer["results"] if r["outcome"] == "refused"]


def test_a_day_plays_to_its_end_and_sends_what_the_truth_counts(
    start_partners: Callable[..., Partners],
    receiver: Receiver,
    office: Office,
    sftp: tuple[SftpTarget, Path],
    tmp_path: Path,
) -> None:
    target, root = sftp
    scenario = generate(11, 40)
    scenario.write(tmp_path / "day")
    saying = [a for a in scenario.actions if a["do"] == "person"]
    office.listed = [
        {"scac": a["scac"], "invoice_number": a["number"], "carrier_invoice_id": f"TALN:{n}"}
        for n, a in enumerate(saying)
    ]
    partners = start_partners(inbound_url=receiver.url, sftp=target, portal=office.portal)
    partners.control("scenario", {"path": str(tmp_path / "day" / "scenario.json")})
    wrong = min(scenario.head["contests"]["nrdf"])
    (root / "nrdf" / "outbound" / "824_000000007.edi").write_text(ADVICE.replace("NR1", wrong))
    ours = StandIn(partners, receiver, scenario.expected_orders, scenario.truth)
    ours.start()
    lines: list[str] = []
    config = partners.config.model_copy(update={"ports": partners.ports})
    code = play(config, tmp_path / "day" / "scenario.json", seconds=5, patience=20, show=lines.append, pause=0.3)
    ours.over.set()
    ours.join(10)
    assert code == 0, lines[-1]
    last = json.loads(lines[-1])
    assert (last["quiet"], last["done"]) == (True, len(scenario.actions))
    # the faults of the day are all that went wrong
    assert set(ours.problems) <= {"RemoteProtocolError", "ReadError"}

    totals = scenario.truth["control_totals"]
    sent: Counter[str] = Counter()
    for partner, body, _ in receiver.calls:
        sent["carrier.invoice_api"] += len(body.get("invoices", ()))
        for event in body.get("events", ()):
            if partner == "tms":
                sent["tms.shipment_plan" if event["event_type"] == "shipment_planned" else "tms.shipment_event"] += 1
            elif partner == "driver":
                sent["driver.pod" if event["type"] == "pod_captured" else "driver.event"] += 1
            else:
                sent["carrier.status_webhook"] += 1
    assert {feed: totals[feed]["received"] for feed in sent} == dict(sent)
    refused = scenario.truth["documents"]["ours.refused_call"]
    assert Counter(receiver.refused) == {partner: fields["count"] for partner, fields in refused.items()}
    assert len(ours.orders) == totals["erp.sales_order"]["received"]
    confirmed = partners.call("wms", "GET", "/api/v1/ship-confirmations", params={"limit": 1000}).json()["items"]
    assert len(confirmed) == totals["wms.ship_confirmation"]["received"]

    # each under its own name, whatever had to be said again
    uploaded = [a for a in scenario.actions if a["do"] == "upload"]
    assert Counter((person, query["carrier"], query["name"]) for person, query, _ in office.uploads) == Counter(
        (a["by"], a["carrier"], a["name"]) for a in uploaded
    )
    assert {query["kind"] for _, query, _ in office.uploads} == {"invoices", "accessorials"}
    assert all(content for _, _, content in office.uploads)
    assert {person for person, _, _ in office.said} == {"finance"}
    heard = Counter(said.get("verdict") or ("yes" if "accept" in said else "offer") for _, _, said in office.said)
    meant = Counter(a["says"] for a in saying)
    assert heard == {
        **{name: meant[name] for name in ("approved", "rejected")},
        **dict.fromkeys(("offer", "yes"), meant["agreed"]),
    }
    assert len(partners.control("log?kind=resent")["items"]) >= 1

    # what we leave for it NRDF reads once, and says so
    receipt = root / "nrdf" / "inbound" / "997_000500007.edi"
    said = receipt.read_text().replace("\n", "").split("~")
    assert [one for one in said if one.startswith("AK")] == ["AK1*AG*7", "AK2*824*0001", "AK5*A", "AK9*A*1*1*1"]
    assert len(list((root / "nrdf" / "inbound").glob("997_*"))) == 1
    receipt.unlink()
    # and where it does not share our advice, it says that, too
    contested = root / "nrdf" / "inbound" / "824_000600007.edi"
    assert f"OTI*TR*IK*{wrong}*****7*0001*824~" in contested.read_text()
    contested.unlink()

    files: Counter[str] = Counter()
    for path in (root / "clearbill" / "inbound").iterdir():
        files["audit.invoice_result"] += len({row["AuditRef"] for row in csv.DictReader(path.open(newline=""))})
    for path in (root / "pricing" / "inbound").iterdir():
        files[path.name.partition("_20")[0]] += 1
    assert {name: files.pop(name) for name in ("contracts", "lane_rates", "band_tables", "fuel_prices", "accessorials")}
    (statement,) = (root / "bank" / "inbound").iterdir()
    assert statement.read_text().count("<Ntry>") == totals["bank.statement_entry"]["received"]
    for path in (*(root / "nrdf" / "inbound").iterdir(), *(root / "hnsa" / "inbound").iterdir()):
        if path.name.startswith("invoic_"):
            messages = [m for i in edifact.read(path.read_bytes()).interchanges for m in i.messages]
            files["carrier.invoice_edifact"] += len(messages)
            continue
        kinds = {"214": "carrier.status_x12", "990": "carrier.tender_response", "824": "824"}
        kind = kinds.get(path.name[:3], "carrier.invoice_x12")
        try:
            found = read(path.read_bytes(), PartnerProfile(implied_decimals="implied")).interchanges
        except NotX12Error:
            files[kind] += 1
            continue
        for interchange in found:
            for transaction in interchange.transactions if not interchange.rejected else ():
                document = transaction.document
                files[kind] += len(document.events) if isinstance(document, Status214) else 1
            files[kind] += interchange.rejected
    assert files.pop("824") == sum(a["do"] == "824" for a in scenario.actions)
    assert {feed: totals[feed]["received"] for feed in files} == dict(files)
    pods = {e["event_id"] for e in partners.control("log?kind=pod_sent")["items"]}
    planned = {a["pod"]["event_id"] for a in scenario.actions if a.get("pod")}
    assert pods == planned
    assert partners.control("log?kind=wrongly_accepted")["items"] == []


def test_a_day_that_waits_for_us_says_for_what(start_partners: Callable[..., Partners], tmp_path: Path) -> None:
    generate(12, 40).write(tmp_path)
    partners = start_partners()
    config = partners.config.model_copy(update={"ports": partners.ports})
    lines: list[str] = []
    assert play(config, tmp_path / "scenario.json", seconds=0.5, patience=1.5, show=lines.append, pause=0.2) == STUCK
    last = json.loads(lines[-1])
    assert last["state"] == "stuck"
    assert last["waiting_for"]["read"] >= 40 * 6


def test_partners_that_are_not_there_are_named(start_partners: Callable[..., Partners], tmp_path: Path) -> None:
    partners = start_partners()
    config = partners.config.model_copy(update={"ports": {"erp": 9}})
    assert play(config, tmp_path / "x.json", show=lambda _: None) == UNREACHABLE
