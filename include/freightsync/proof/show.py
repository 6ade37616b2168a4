"""The summary for people: tables on a terminal, the same as plain text elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

EXAMPLES = 3
"""Differences printed of each type."""


def show(summary: Mapping[str, Any], console: Console) -> None:
    """Prints what happened, and last the one line that matters."""
    _documents(summary, console)
    _control_totals(summary, console)
    if summary["quarantined"]:
        table = Table("Quarantined because", "records", title="Quarantine", title_justify="left")
        table.columns[1].justify = "right"
        for reason, count in summary["quarantined"].items():
            table.add_row(reason.replace("_", " "), f"{count:,}")
        console.print(table)
    _compared(summary, console)
    _times(summary, console)
    table = Table("Look at", "where", title="Where things are", title_justify="left", show_header=False)
    for name, url in summary["urls"].items():
        table.add_row(name, Text(url))
    table.add_row("workbook", Text(summary["report"]))
    console.print(table)
    for line in summary["not_quiet"]:
        console.print(Text(f"not quiet: {line}", style="bold red"))
    _mismatches(summary, console)
    console.print(verdict(summary))


def verdict(summary: Mapping[str, Any]) -> Text:
    """One line: all well, or what is not."""
    if summary["ok"]:
        compared = sum(summary["compared"].values())
        return Text(
            f"Everything agrees: {compared:,} documents compared with the truth, cent by cent, and every control total "
            "holds.",
            style="bold green",
        )
    wrong = []
    if summary["truth_mismatches"]:
        wrong.append(f"{summary['truth_mismatches']:,} differences from the truth")
    if summary["compared"] != summary["expected"] and not summary["truth_mismatches"]:
        wrong.append("not every document was compared")
    if not summary["control_totals_balanced"]:
        wrong.append("control totals that do not hold")
    if summary["dead_letters"]:
        wrong.append(f"{summary['dead_letters']:,} messages that a partner refused (`freightsync outbox list --dead`)")
    if summary["not_quiet"]:
        wrong.append("work left over")
    if summary["pod_to_invoice_seconds"]["unbilled"]:
        wrong.append(f"{summary['pod_to_invoice_seconds']['unbilled']} billable PODs without an invoice")
    return Text("NOT in agreement: " + ", ".join(wrong) + ".", style="bold red")


def _mismatches(summary: Mapping[str, Any], console: Console) -> None:
    """How many by type, and the first few of each: one cause often breaks many."""
    by_type: defaultdict[str, list[str]] = defaultdict(list)
    for line in summary["mismatches"]:
        by_type[line.split(" ", 1)[0]].append(line)
    for kind, lines in by_type.items():
        console.print(Text(f"{kind}: {summary['mismatches_by_type'].get(kind, len(lines)):,} differences", style="red"))
        for line in lines[:EXAMPLES]:
            console.print(Text(f"  {line[:400]}"))
    if summary["truth_mismatches"] > len(summary["mismatches"]):
        console.print("all of them: `freightsync compare`")


def _documents(summary: Mapping[str, Any], console: Console) -> None:
    table = Table("The day", "", title=f"Seed {summary['seed']}", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    rows = [
        ("sales orders", "orders"),
        ("shipments", "shipments"),
        ("legs", "legs"),
        ("status events received", "events"),
        ("carrier invoices received", "carrier_invoices"),
        ("customer invoices posted", "customer_invoices_posted"),
        ("payables posted", "payables_posted"),
        ("duplicates turned away", "duplicates"),
        ("dead letters", "dead_letters"),
    ]
    for label, key in rows:
        table.add_row(label, f"{summary[key]:,}")
    for label, key in (("accrued", "accrued"), ("reversed", "reversed"), ("open accrual", "open_accrual")):
        table.add_row(label, f"{summary[key]}")
    console.print(table)
    verdicts = Table("Carrier invoices", "count", title="Verdicts", title_justify="left")
    verdicts.columns[1].justify = "right"
    for name, count in summary["verdicts"].items():
        verdicts.add_row(name.replace("_", " "), f"{count:,}")
    console.print(verdicts)


def _control_totals(summary: Mapping[str, Any], console: Console) -> None:
    headings = ("Feed", "batches", "received", "accepted", "quarantined", "duplicate", "received amount", "")
    table = Table(
        *headings, title="Control totals: received = accepted + quarantined + duplicate", title_justify="left"
    )
    for column in table.columns[1:-1]:
        column.justify = "right"
    for source in summary["control_totals"]:
        table.add_row(
            source["source"],
            *(f"{source[name]:,}" for name in ("batch_count", "received", "accepted", "quarantined", "duplicate")),
            "" if source["received_amount"] == "0.00" else source["received_amount"],
            Text("holds", style="green") if source["balanced"] else Text("DOES NOT HOLD", style="bold red"),
        )
    console.print(table)


def _compared(summary: Mapping[str, Any], console: Console) -> None:
    table = Table("Document", "in the truth", "compared", title="Truth against outcome", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, count in summary["expected"].items():
        table.add_row(name, f"{count:,}", f"{summary['compared'].get(name, 0):,}")
    table.add_row("control totals", "", f"{summary['control_totals_compared']:,}")
    console.print(table)


def _times(summary: Mapping[str, Any], console: Console) -> None:
    latency = summary["pod_to_invoice_seconds"]
    table = Table("Seconds", "", title="Where the time went", title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for name, seconds in summary["stage_seconds"].items():
        table.add_row(name.replace("_", " "), f"{seconds:.1f}")
    if latency["p50"] is not None:
        table.add_row(
            f"POD sent → invoice in the ERP, {latency['count']} PODs",
            f"median {latency['p50']:.1f}   p95 {latency['p95']:.1f}   max {latency['max']:.1f}",
        )
    console.print(table)
    if summary["task_seconds"]:
        table = Table("Airflow task", "runs", "seconds", title="Seconds of work by task", title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, entry in summary["task_seconds"].items():
            table.add_row(name, f"{entry['runs']:,}", f"{entry['seconds']}")
        console.print(table)
