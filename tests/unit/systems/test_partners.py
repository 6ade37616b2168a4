"""Who sends us files or calls, as data: carriers, everybody else, and a deployment's own before ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from freightsync.landing.feeds import FEEDS
from freightsync.systems.partners import PartnerError, callers, carriers, senders


def own(folder: Path, text: str) -> Path:
    (folder / "partners.yaml").write_text(text)
    return folder


def test_carriers_have_a_scac_and_the_others_a_name() -> None:
    assert [(one.scac, one.partner, one.directory) for one in senders()] == [
        ("BLUW", "bluw", "bluw"),
        ("NRDF", "nrdf", "nrdf"),
        ("", "bank", "bank"),
        ("", "pricing", "pricing"),
    ]
    assert [one.scac for one in carriers()] == ["BLUW", "NRDF"]
    assert list(callers()) == ["bluw"]
    assert {kind.feed for one in senders() for kind in one.files} <= set(FEEDS)


def test_a_deployments_entries_replace_ours_of_the_same_name_and_leave_the_rest(tmp_path: Path) -> None:
    folder = own(
        tmp_path,
        """
partners:
  BLUW:
    api: true
    edifact: {net: ["79"]}
    files: {directory: blue, kinds: {"*.edi": {feed: carrier.invoice_edifact, format: edifact}}}
senders:
  clearbill: {api: true}
  bank:
    files: {directory: giro, kinds: {"*.xml": {feed: bank.statement_entry, format: camt053}}}
""",
    )
    found = {one.partner: one for one in senders(folder=folder)}
    assert sorted(found) == ["bank", "bluw", "clearbill", "nrdf", "pricing"]
    assert found["bluw"].edifact.net == ("79",)
    assert [(found[name].directory, found[name].files[0].pattern) for name in ("bluw", "bank", "nrdf")] == [
        ("blue", "*.edi"),
        ("giro", "*.xml"),
        ("nrdf", "214_*.edi"),
    ]
    assert sorted(callers(folder)) == ["bluw", "clearbill"]
    assert callers(folder)["clearbill"].scac == ""
    assert list(callers()) == ["bluw"], "the installed ones alone"


TABLE = 'feed: audit.invoice_result, format: csv, mapping: "m.yaml"'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("partners: [", "not YAML"),
        ("audit_platforms: {a: {}}", "not a mapping of partners and senders"),
        ("senders: [a]", "senders is no mapping"),
        ("senders: {a: b}", "senders: a is no mapping"),
        ("senders: {a: {x12: {}}}", "sender a: unknown key x12"),
        ("senders: {a: {files: {partner: b}}}", "unknown key in files: partner"),
        ("partners: {ABCD: {files: {folder: b}}}", "partner ABCD: unknown key in files: folder"),
        ("senders: {a: {api: sometimes}}", "api is true or false, not 'sometimes'"),
        (f"senders: {{a: {{files: {{kinds: {{'*': {{{TABLE}, sheet: b}}}}}}}}}}", "unknown key sheet"),
        ("senders: {a: {files: {kinds: {'*': {feed: bank.statement_entry, format: pdf}}}}}", "a feed and a format"),
        ("senders: {a: {files: {kinds: {'*': {feed: audit.invoice_result, format: csv}}}}}", "names its mapping"),
        ("senders: {a: {files: {kinds: {'*': {feed: bank.x, format: camt053, mapping: m}}}}}", "names its mapping"),
        ("senders: {a: {files: {kinds: {'*': {feed: carrier.invoice_x12, format: x12}}}}}", "it is a carrier's"),
        (
            "senders: {a: {files: {kinds: {'*': {feed: carrier.invoice_csv, format: csv, mapping: m}}}}}",
            "it is a carrier's",
        ),
        ("senders: {nrdf: {api: true}}", "more than one entry is nrdf"),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(PartnerError, match=says):
        senders(folder=own(tmp_path, text))


def test_a_folder_that_is_not_there_is_no_folder_without_partners(tmp_path: Path) -> None:
    assert senders(folder=tmp_path) == senders()
    with pytest.raises(PartnerError, match="is no directory"):
        senders(folder=tmp_path / "elsewhere")
