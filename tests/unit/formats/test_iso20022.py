"""Account statements: every release's places, balances to the cent, hostile XML, rejects that name their position."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freightsync.formats.iso20022 import UnreadableXml, read_statements, write_statement
from freightsync.formats.iso20022.tree import MAX_DEPTH
from freightsync.systems.bank.parse import parse_statements
from freightsync.systems.remittance import parse as remittance

D = Decimal


def entry(reference: str, amount: str, **more: Any) -> dict[str, Any]:
    detail = {"amount": amount, **{k: more.pop(k) for k in list(more) if k in DETAIL}}
    return {"reference": reference, "direction": "credit", "booked_on": "2026-03-10", "details": [detail], **more}


DETAIL = {"end_to_end_id", "name", "account", "text", "return_reason", "documents"}


def statement(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "statement_id": "ST1",
        "account": "DE02120300000000202051",
        "currency": "EUR",
        "made_at": "2026-03-10T20:00:00+01:00",
        "opening": "1000.00",
        "entries": entries,
        **more,
    }


FULL = statement(
    {
        "reference": "BATCH",
        "direction": "credit",
        "booked_on": "2026-03-10",
        "value_on": "2026-03-11",
        "details": [
            {
                "amount": "70.00",
                "end_to_end_id": "E1",
                "name": "Acme & Söhne",
                "account": "DE99",
                "documents": [
                    {"number": "CI0000001", "amount": "100.00"},
                    {"number": "CM0000001", "kind": "CREN", "amount": "30.00"},
                ],
            },
            {"amount": "5.50", "text": "for CI0000002"},
        ],
    },
    entry("BACK", "70.00", direction="debit", is_reversal=True, end_to_end_id="E1", return_reason="AC04", name="Acme"),
)


def test_what_is_written_is_read() -> None:
    (read,) = read_statements(write_statement(FULL))
    assert (read.statement_id, read.account, read.currency) == ("ST1", "DE02120300000000202051", "EUR")
    assert (read.opening, read.closing, read.difference) == (D("1000.00"), D("1005.50"), D("0.00"))
    batch, back = read.entries
    assert (batch.amount, batch.details_total, batch.direction, batch.status) == (
        D("75.50"),
        D("75.50"),
        "credit",
        "BOOK",
    )
    assert (batch.booked_on, batch.value_on) == (dt.date(2026, 3, 10), dt.date(2026, 3, 11))
    first, second = batch.details
    assert (first.end_to_end_id, first.counterparty_name, first.counterparty_account) == ("E1", "Acme & Söhne", "DE99")
    assert [(d.number, d.kind, d.amount) for d in first.documents] == [
        ("CI0000001", "CINV", D("100.00")),
        ("CM0000001", "CREN", D("30.00")),
    ]
    assert (second.end_to_end_id, second.text) == (None, "for CI0000002")
    assert (back.is_reversal, back.signed, back.details[0].return_reason, back.details[0].counterparty_name) == (
        True,
        D("-70.00"),
        "AC04",
        "Acme",
    )


OLD = b"""<?xml version="1.0" encoding="ISO-8859-1"?>
<!-- release 02: status as a text, parties without Pty, amounts of transactions in AmtDtls -->
<b:Document xmlns:b="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><b:BkToCstmrStmt>
<b:Stmt><b:Id>7</b:Id><b:Acct><b:Id><b:Othr><b:Id>123 456</b:Id></b:Othr></b:Id></b:Acct>
<b:Bal><b:Tp><b:CdOrPrtry><b:Cd>PRCD</b:Cd></b:CdOrPrtry></b:Tp><b:Amt Ccy="USD">50</b:Amt>
 <b:CdtDbtInd>DBIT</b:CdtDbtInd></b:Bal>
<b:Bal><b:Tp><b:CdOrPrtry><b:Cd>CLBD</b:Cd></b:CdOrPrtry></b:Tp><b:Amt Ccy="USD">50.0</b:Amt>
 <b:CdtDbtInd>CRDT</b:CdtDbtInd></b:Bal>
<b:Ntry><b:Amt Ccy="USD">100.00</b:Amt><b:CdtDbtInd>CRDT</b:CdtDbtInd><b:Sts>BOOK</b:Sts>
 <b:BookgDt><b:DtTm>2026-03-10T23:59:00-05:00</b:DtTm></b:BookgDt>
 <b:NtryDtls><b:TxDtls><b:AmtDtls><b:TxAmt><b:Amt Ccy="USD">100.00</b:Amt></b:TxAmt></b:AmtDtls>
 <b:RltdPties><b:Dbtr><b:Nm>M\xfcller</b:Nm></b:Dbtr></b:RltdPties>
 <b:RmtInf><b:Strd><b:RfrdDocInf><b:Nb>A1</b:Nb></b:RfrdDocInf><b:RfrdDocAmt><b:RmtdAmt Ccy="USD">100.00</b:RmtdAmt>
 <b:AdjstmntAmtAndRsn><b:Amt Ccy="USD">5.00</b:Amt><b:CdtDbtInd>DBIT</b:CdtDbtInd><b:Rsn>damaged</b:Rsn>
 </b:AdjstmntAmtAndRsn></b:RfrdDocAmt><b:CdtrRefInf><b:Ref>RF18</b:Ref></b:CdtrRefInf></b:Strd></b:RmtInf>
 </b:TxDtls></b:NtryDtls></b:Ntry>
<b:Ntry><b:Amt Ccy="USD">9.00</b:Amt><b:CdtDbtInd>CRDT</b:CdtDbtInd><b:Sts>PDNG</b:Sts></b:Ntry>
</b:Stmt></b:BkToCstmrStmt></b:Document>"""


def test_an_old_release_with_prefixes_and_latin_1() -> None:
    (read,) = read_statements(OLD)
    # overdrawn by 50, a booked 100, and a pending 9 that moves nothing
    assert (read.account, read.opening, read.closing, read.difference) == ("123456", D(-50), D(50), D(0))
    booked, pending = read.entries
    assert (booked.status, booked.booked_on, pending.status) == ("BOOK", dt.date(2026, 3, 10), "PDNG")
    detail = booked.details[0]
    assert (detail.counterparty_name, detail.amount, detail.text) == ("Müller", D("100.00"), "RF18")
    assert detail.documents[0].adjustments == ((D("-5.00"), "damaged"),)


ADVICE = b"""<Document xmlns="urn:iso:std:iso:20022:tech:xsd:remt.001.001.02"><RmtAdvc>
<GrpHdr><MsgId>M1</MsgId></GrpHdr>
<RmtInf><Strd><RfrdDocInf><Tp><CdOrPrtry><Cd>CINV</Cd></CdOrPrtry></Tp><Nb>CI0000001</Nb></RfrdDocInf>
 <RfrdDocAmt><RmtdAmt Ccy="USD">100.00</RmtdAmt></RfrdDocAmt></Strd>
 <Strd><RfrdDocInf><Tp><CdOrPrtry><Cd>CREN</Cd></CdOrPrtry></Tp><Nb>CM1</Nb></RfrdDocInf>
 <RfrdDocAmt><CdtNoteAmt Ccy="USD">20.00</CdtNoteAmt></RfrdDocAmt></Strd>
 <OrgnlPmtInf><Refs><EndToEndId>E1</EndToEndId></Refs><Amt><InstdAmt Ccy="USD">80.00</InstdAmt></Amt>
 <ReqdExctnDt>2026-03-20</ReqdExctnDt><Dbtr><Nm>Acme</Nm></Dbtr></OrgnlPmtInf></RmtInf>
<RmtInf><OrgnlPmtInf><Refs><EndToEndId>E2</EndToEndId></Refs></OrgnlPmtInf></RmtInf>
</RmtAdvc></Document>"""


def test_an_advice_as_message_and_as_table_say_the_same() -> None:
    message = remittance.parse_advices(ADVICE)
    assert [reject.position for reject in message.rejects] == ["RmtInf 2, line 9"]
    (advice,) = message.records
    table = (
        "PaymentReference,Payer,PaymentDate,PaymentAmount,Currency,InvoiceNo,Type,Amount\n"
        "E1,Acme,2026-03-20,80.00,USD,CI0000001,,100.00\n"
        "E1,Acme,2026-03-20,80.00,USD,CM1,credit,20.00\n"
        "E2,Acme,2026-03-20,x,USD,CI2,,20.00\n"
    )
    read = remittance.parse_table(table.encode(), mapping=remittance.mapping("advice.yaml"))
    assert (read.units, len(read.rejects)) == (2, 1)
    (row,) = read.records
    same = ("end_to_end_id", "payer_name", "paid_on", "documents")
    assert [row.values[name] for name in same] == [advice.values[name] for name in same]
    assert (row.amount, row.currency) == (advice.amount, advice.currency) == (D("80.00"), "USD")
    assert [one["amount"] for one in row.values["documents"]] == ["100.00", "-20.00"]
    assert remittance.parse_table(b"nothing", mapping=remittance.mapping("advice.yaml")).unreadable is not None
    assert remittance.parse_advices(b"<Document/>").unreadable is not None


def test_a_statement_that_does_not_add_up_says_by_how_much() -> None:
    (read,) = read_statements(write_statement(statement(entry("R1", "10.00"), closing="1009.99")))
    assert read.difference == D("-0.01")
    parsed = parse_statements(write_statement(statement(entry("R1", "10.00"), closing="1009.99")))
    assert [record.values["statement_difference"] for record in parsed.records] == [D("-0.01")]
    # nothing moved, and yet the balance did: there is no entry to hold, so the document is
    empty = parse_statements(write_statement(statement(closing="1.00")))
    assert [(one.reason, "ST1" in one.message) for one in empty.broken] == [("statement_does_not_balance", True)]
    assert parse_statements(write_statement(statement())).units == 0


@pytest.mark.parametrize(
    ("hostile", "says"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><Document><BkToCstmrStmt/></Document>', "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><Document/>', "document type"),
        (b"<Document><BkToCstmrStmt><Stmt><Ntry>" + b"<a>" * (MAX_DEPTH + 1), "nested"),
        (b"<Document><BkToCstmrStmt><Stmt><Ntry><Amt>" + b"9" * (2 << 20), "text"),
        (b"<Document><BkToCstmrStmt><Stmt><Ntry>" + b"<a/>" * 200_001, "too many"),
        (b"<Document><BkToCstmrStmt><Stmt></BkToCstmrStmt></Document>", "mismatched"),
        (write_statement(FULL)[:-30], "line"),
        (b'<?xml version="1.0" encoding="klingon"?><Document/>', "encoding"),
        (b"", "no element"),
        (b"<Document><Other/></Document>", "no account statement"),
        (b"ISA*00*", "syntax error"),
    ],
)
def test_hostile_or_broken_xml_is_one_unreadable_document(hostile: bytes, says: str) -> None:
    with pytest.raises(UnreadableXml, match=says):
        list(read_statements(hostile))
    parsed = parse_statements(hostile)
    assert parsed.unreadable is not None
    assert (parsed.records, parsed.rejects) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('<Amt Ccy="EUR">5.50</Amt>', '<Amt Ccy="EUR">5.505</Amt>', "'5.505' is not an amount"),
        ('<Amt Ccy="EUR">5.50</Amt>', '<Amt Ccy="EUR">NaN</Amt>', "'NaN' is not an amount"),
        ('<Amt Ccy="EUR">5.50</Amt>', "", "has no amount"),
        ("<Dt>2026-03-11</Dt>", "<Dt>2026-13-11</Dt>", "is not a date"),
    ],
)
def test_what_cannot_be_read_is_a_reject_with_its_place_and_holds_the_statement(old: str, new: str, says: str) -> None:
    content = write_statement(FULL).decode().replace(old, new, 1).encode()
    parsed = parse_statements(content)
    assert parsed.units == len(parsed.records) + len(parsed.rejects) == 3
    assert [reject.position for reject in parsed.rejects] == [
        "Stmt ST1, Ntry 1, line 8, TxDtls 1",
        "Stmt ST1, Ntry 1, line 8, TxDtls 2",
    ]
    assert all(says in reject.messages[0] for reject in parsed.rejects)


def test_equal_transactions_of_one_statement_are_several_and_of_two_statements_one() -> None:
    same = [entry("R1", "10.00"), entry("R1", "10.00"), entry("R2", "10.00")]
    keys = [record.values["entry_key"] for record in parse_statements(write_statement(statement(*same))).records]
    assert len(set(keys)) == 3
    again = write_statement(statement(*same, statement_id="ST2"))
    assert [record.values["entry_key"] for record in parse_statements(again).records] == keys
    # without a reference of the bank, the place in the statement is all there is
    bare = re.sub(rb"<AcctSvcrRef>.*?</AcctSvcrRef>", b"", write_statement(statement(*same)))
    assert len({record.values["entry_key"] for record in parse_statements(bare).records}) == 3


cents = st.integers(1, 10**9).map(lambda n: D(n) / 100)


@settings(max_examples=60, deadline=None)
@given(
    entries=st.lists(
        st.tuples(st.sampled_from(["credit", "debit"]), st.lists(cents, min_size=1, max_size=4), st.booleans()),
        max_size=8,
    ),
    opening=st.integers(-(10**9), 10**9),
    off=st.integers(-500, 500),
)
def test_any_statement_balances_and_its_total_is_what_moved(
    entries: list[tuple[str, list[Decimal], bool]], opening: int, off: int
) -> None:
    start = D(opening) / 100
    moved = sum(((1 if d == "credit" else -1) * sum(amounts) for d, amounts, _ in entries), D(0))
    given_entries = [
        {
            "reference": f"R{n}",
            "direction": direction,
            "booked_on": "2026-03-10",
            "is_reversal": reversal,
            "details": [{"amount": str(amount)} for amount in amounts],
        }
        for n, (direction, amounts, reversal) in enumerate(entries)
    ]
    content = write_statement(statement(*given_entries, opening=str(start), closing=str(start + moved + D(off) / 100)))
    (read,) = read_statements(content)
    assert read.difference == D(off) / 100
    parsed = parse_statements(content)
    assert not parsed.rejects
    assert sum((record.amount or D(0) for record in parsed.records), D(0)) == moved
    if entries:
        ((currency, units, total),) = parsed.totals
        assert (currency, units, total) == ("EUR", sum(len(a) for _, a, _ in entries), moved)
