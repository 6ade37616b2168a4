"""What the writer writes, the reader reads: whole files, any records, any delimiters, in blocks of any size."""

import datetime as dt
import io
from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freightsync.formats.edifact import (
    Amount,
    Charge,
    Control,
    Delimiters,
    ElementError,
    Envelope,
    Interchange,
    Invoic,
    LineItem,
    Measure,
    Message,
    MessageResponse,
    Moment,
    NotEdifactError,
    Party,
    ProductCode,
    Reference,
    SegmentError,
    Tax,
    acknowledge,
    read,
    read_stream,
    write,
)

MARKS = "+:'?*|^~!#;"
# every delimiter there can be, so that each of them is released somewhere
TEXT = st.text("ABCabc019 -/&éß" + MARKS + ".,", min_size=1, max_size=24).map(str.strip).filter(bool)
CODE = st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=6)
QUALIFIER = st.sampled_from(["ZZ1", "ZZ2", "ZZ3"])


def maybe(strategy):
    return st.none() | strategy


@st.composite
def delimiters(draw):
    component, element, release, terminator = draw(
        st.lists(st.sampled_from(MARKS), min_size=4, max_size=4, unique=True)
    )
    return Delimiters(component, element, draw(st.sampled_from(".,")), release, terminator)


MONEY = st.decimals(min_value=Decimal("-9999999.99"), max_value=Decimal("9999999.99"), places=2).map(
    lambda d: d if d else Decimal("0.00")
)
NUMBER = st.integers(0, 99999).map(Decimal)
DATE = st.dates(dt.date(1990, 1, 1), dt.date(2099, 12, 31))
TIME = st.times().map(lambda t: t.replace(microsecond=0))
REFERENCES = st.lists(st.builds(Reference, CODE, TEXT, maybe(CODE)), max_size=3)
SOME = {"max_size": 3}


def amounts(*qualifiers):
    """One amount each: two that differ under one qualifier are refused."""
    return st.lists(
        st.builds(Amount, st.sampled_from(qualifiers), MONEY, maybe(st.just("EUR"))),
        max_size=len(qualifiers),
        unique_by=lambda amount: amount.qualifier,
    )


TAXES = st.lists(st.builds(Tax, maybe(CODE), maybe(NUMBER), maybe(CODE), amounts("124", "125")), max_size=2)
CHARGE = st.builds(
    Charge,
    st.sampled_from("AC"),
    maybe(CODE),
    maybe(TEXT),
    maybe(NUMBER),
    amounts("8", "25"),
    TAXES,
    REFERENCES,
)
MEASURES = st.lists(st.builds(Measure, CODE, maybe(CODE), st.sampled_from(["KGM", "LBR"]), NUMBER), max_size=2)
LINE = st.builds(
    LineItem,
    number=CODE,
    code=maybe(CODE),
    code_kind=st.none(),
    codes=st.lists(st.builds(ProductCode, CODE, maybe(CODE)), max_size=7),
    description=maybe(TEXT),
    description_code=maybe(CODE),
    quantities=st.lists(st.tuples(CODE, NUMBER, maybe(CODE)), max_size=2),
    amounts=amounts("203", "66"),
    price=maybe(MONEY),
    references=REFERENCES,
    dates=st.lists(st.builds(Moment, QUALIFIER, DATE, maybe(TIME), st.just("")), max_size=2),
    measures=MEASURES,
    taxes=TAXES,
    charges=st.lists(CHARGE, max_size=2),
)
PARTY = st.builds(
    Party,
    role=CODE,
    id=maybe(CODE),
    agency=st.none(),
    lines=st.lists(TEXT, max_size=5),
    names=st.lists(TEXT, max_size=5),
    street=st.lists(TEXT, max_size=4),
    city=maybe(TEXT),
    region=maybe(CODE),
    postal_code=maybe(TEXT),
    country=maybe(CODE),
    references=REFERENCES,
)


@st.composite
def invoic(draw):
    issued = draw(DATE)
    dates = [Moment("137", issued, draw(maybe(TIME)))]
    for place in ("", "pat", "tdt"):
        dates += draw(st.lists(st.builds(Moment, QUALIFIER, DATE, maybe(TIME), st.just(place)), max_size=2))
    return Invoic(
        document_code=draw(CODE),
        number=draw(TEXT),
        invoice_date=issued,
        function=draw(maybe(CODE)),
        currency=draw(st.just("EUR")),
        references=draw(REFERENCES),
        dates=dates,
        parties=draw(st.lists(PARTY, max_size=3)),
        measures=draw(MEASURES),
        charges=draw(st.lists(CHARGE, max_size=2)),
        lines=draw(st.lists(LINE, max_size=3)),
        amounts=[Amount("77", draw(MONEY), None), *draw(amounts("79", "125", "176"))],
        taxes=draw(TAXES),
        service_level=draw(maybe(CODE)),
    )


ACTION = st.sampled_from("478")
CONTROL = st.builds(
    Control,
    TEXT,
    TEXT,
    TEXT,
    ACTION,
    maybe(CODE),
    maybe(CODE),
    maybe(CODE),
    maybe(CODE),
    st.lists(
        st.builds(
            MessageResponse,
            CODE,
            CODE,
            st.sampled_from(["D.96A", "D.16B"]),
            ACTION,
            maybe(CODE),
            maybe(CODE),
            st.lists(
                st.builds(
                    SegmentError, CODE, maybe(CODE), st.lists(st.builds(ElementError, CODE, CODE, maybe(CODE)), **SOME)
                ),
                **SOME,
            ),
        ),
        **SOME,
    ),
)

ENVELOPE = st.builds(
    Envelope,
    sender=CODE,
    receiver=CODE,
    control_number=CODE,
    at=st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2068, 1, 1)),  # noqa: DTZ001
    version=st.sampled_from(["D.96A", "D.01B", "D.16B"]),
    syntax=st.sampled_from(["UNOC", "UNOY"]),
    marks=delimiters(),
    long_date=st.booleans(),
    after=st.sampled_from(["", "\n", "\r\n", "  "]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(ENVELOPE, st.lists(invoic(), max_size=2), st.booleans(), st.integers(1, 400))
def test_invoices_come_back_as_they_were(envelope, bills, group, block):
    content = write(replace(envelope, group=group and bool(bills)), bills)
    items = list(read_stream(io.BytesIO(content), block=block))
    (interchange,) = {id(i): i for i in items if isinstance(i, Interchange)}.values()
    messages = [i for i in items if isinstance(i, Message)]
    assert interchange.findings == []
    assert (interchange.sender, interchange.receiver, interchange.control_number) == (
        envelope.sender,
        envelope.receiver,
        envelope.control_number,
    )
    assert [message.document for message in messages] == bills
    for message in messages:
        assert {finding.code for finding in message.findings} <= {"lines_do_not_sum", "totals_differ"}
        piece = content[message.byte_offset : message.byte_offset + message.byte_length]
        assert piece.startswith(b"UNH")
        assert b"UNT" in piece[-60:]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(ENVELOPE, st.lists(CONTROL, min_size=1, max_size=2))
def test_answers_come_back_as_they_were(envelope, answers):
    (interchange,) = read(write(envelope, answers)).interchanges
    assert [message.document for message in interchange.messages] == answers
    assert acknowledge(interchange) is None, "an answer is never answered"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(ENVELOPE, st.lists(invoic(), min_size=1, max_size=2), st.data())
def test_a_damaged_file_never_raises_and_never_shows_money_that_was_not_sent(envelope, bills, data):
    """Bytes cut out, put in or changed: findings or other values, and every finding has its place in the file."""
    content = bytearray(write(envelope, bills))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(10, len(content) - 1))
        what = data.draw(st.sampled_from(["cut", "put", "change"]))
        byte = data.draw(st.integers(0, 255))
        if what == "cut":
            del content[at : at + data.draw(st.integers(1, 20))]
        elif what == "put":
            content.insert(at, byte)
        else:
            content[at] = byte
        if len(content) < 20:
            break
    try:
        result = read(bytes(content))
    except NotEdifactError:
        return
    for interchange in result.interchanges:
        for message in interchange.messages:
            for finding in [*message.findings, *interchange.findings]:
                assert 0 <= finding.byte_offset <= len(content)
            assert (message.document is None) == any(f.severity == "error" for f in message.findings)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(ENVELOPE, st.lists(invoic(), min_size=1, max_size=3))
def test_what_was_read_is_answered_message_by_message(envelope, bills):
    content = write(envelope, bills)
    (interchange,) = read(content).interchanges
    answer = acknowledge(interchange)
    assert answer.accepted
    assert [message.action for message in answer.messages] == ["7"] * len(bills)
    # a message without its BGM is no invoice
    start, end = content.index(b"BGM"), content.index(b"DTM")
    (spoilt,) = read(content[:start] + content[end:]).interchanges
    answer = acknowledge(spoilt)
    assert [message.action for message in answer.messages] == ["4", *["7"] * (len(bills) - 1)]
    assert not answer.accepted
    assert (answer.control_number, answer.sender) == (envelope.control_number, envelope.sender)
