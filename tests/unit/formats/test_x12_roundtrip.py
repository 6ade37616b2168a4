"""What the writer writes, the reader reads: whole files, any records, any delimiters, in blocks of any size."""

import datetime as dt
import io
from decimal import Decimal

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from freightsync.formats.x12 import (
    Acknowledgment997,
    AnsweredTransaction,
    ApplicationAdvice824,
    ApplicationError,
    ChargeLine,
    Delimiters,
    ElementNote,
    Envelope,
    Equipment,
    Goods,
    Hazmat,
    Invoice210,
    LineGroup,
    LoadTender204,
    Party,
    QualifiedDate,
    Quantity,
    Reference,
    SegmentNote,
    Status214,
    StatusEvent,
    Stop,
    TenderResponse990,
    Transaction,
    TransactionResponse,
    Weight,
    read,
    read_stream,
    write,
)
from freightsync.formats.x12.profile import PartnerProfile

MARKS = "*|^,;>:~!.\x15\x1d\x1e\x1f\n"
# letters, digits, blanks inside, accents and a letter of three bytes; no character that may be a delimiter
TEXT = st.text("ABCDEFGHISTZabc0123456789 -/#'éßжあ", min_size=1, max_size=24).map(str.strip).filter(bool)
CODE = st.text("ABCDEFGHIJ0123456789", min_size=1, max_size=6)


def maybe(strategy):
    return st.none() | strategy


@st.composite
def delimiters(draw):
    element, component, terminator = draw(st.lists(st.sampled_from(MARKS), min_size=3, max_size=3, unique=True))
    if element == "\n" or component == "\n":
        element, component, terminator = "*", ":", "\n"
    if draw(st.booleans()):
        terminator = draw(st.sampled_from([terminator, "…", "\r\n"]))
    if "." in (element, component):
        element, component = "*", ">"
        terminator = "~" if terminator in "*>" else terminator
    return Delimiters(element, component, terminator, draw(st.sampled_from(["", "\n", "\r\n", "  ", "\n    "])))


MONEY = st.decimals(min_value=Decimal("-9999999.99"), max_value=Decimal("9999999.99"), places=2).map(
    lambda d: d if d else Decimal("0.00")
)
NUMBER = st.integers(0, 99999).map(Decimal)
DATE = st.dates(dt.date(1990, 1, 1), dt.date(2099, 12, 31))
TIME = st.times().map(lambda t: t.replace(microsecond=0))
REFERENCE = st.builds(Reference, CODE, TEXT, maybe(TEXT))
REFERENCES = st.lists(REFERENCE, max_size=3)
PARTY = st.builds(
    Party,
    role=CODE,
    name=maybe(TEXT),
    id_qualifier=maybe(CODE),
    id=maybe(TEXT),
    more_names=st.lists(TEXT, max_size=3),
    address=st.lists(TEXT, max_size=3),
    city=maybe(TEXT),
    state=maybe(CODE),
    postal_code=maybe(TEXT),
    country=maybe(CODE),
)
QDATE = st.builds(QualifiedDate, maybe(CODE), maybe(DATE), maybe(CODE), maybe(TIME), maybe(CODE))
WEIGHT = st.builds(Weight, maybe(CODE), maybe(CODE), maybe(NUMBER), maybe(NUMBER), maybe(NUMBER))


@st.composite
def line_group(draw):
    references = draw(REFERENCES)
    lines = draw(
        st.lists(
            st.builds(
                ChargeLine,
                charge_code=maybe(CODE),
                amount=maybe(MONEY),
                description=maybe(TEXT),
                rate=maybe(NUMBER),
                rate_qualifier=maybe(CODE),
                item=maybe(CODE),
                references=st.just(references),
            ),
            max_size=4,
        )
    )
    quantities = st.lists(
        st.builds(Quantity, maybe(CODE), maybe(NUMBER), maybe(CODE), maybe(NUMBER), maybe(CODE), maybe(CODE)),
        max_size=2,
    )
    return LineGroup(draw(CODE), lines, references, draw(quantities), draw(st.lists(PARTY, max_size=2)))


INVOICE = st.builds(
    Invoice210,
    invoice_number=TEXT,
    net_amount=MONEY,
    invoice_date=DATE,
    scac=maybe(CODE),
    shipment_id=maybe(TEXT),
    currency=maybe(st.sampled_from(["USD", "CAD", "EUR"])),
    correction=maybe(st.sampled_from(["BD", "CO", "RB"])),
    payment_method=maybe(CODE),
    delivery_date=maybe(DATE),
    delivery_qualifier=maybe(CODE),
    pickup_date=maybe(DATE),
    references=REFERENCES,
    dates=st.lists(QDATE, max_size=2),
    parties=st.lists(PARTY, max_size=2),
    groups=st.lists(line_group(), max_size=3),
    total_weight=maybe(NUMBER),
    weight_qualifier=maybe(CODE),
    total_charge=maybe(MONEY),
    total_pieces=maybe(NUMBER),
)


@st.composite
def status(draw):
    events = []
    for number in range(draw(st.integers(0, 3))):
        references = draw(REFERENCES)
        for _ in range(draw(st.integers(1, 3))):
            appointment = draw(st.booleans())
            events.append(
                StatusEvent(
                    status=None if appointment else draw(CODE),
                    reason=draw(maybe(CODE)),
                    appointment_status=draw(CODE) if appointment else None,
                    occurred_on=draw(maybe(DATE)),
                    occurred_time=draw(maybe(TIME)),
                    time_code=draw(maybe(CODE)),
                    city=draw(maybe(TEXT)),
                    state=draw(maybe(CODE)),
                    country=draw(maybe(CODE)),
                    equipment_scac=draw(maybe(CODE)),
                    equipment_number=draw(maybe(CODE)),
                    group=str(number + 1),
                    references=references,
                    weight=draw(maybe(WEIGHT)),
                )
            )
    return Status214(
        draw(maybe(TEXT)),
        draw(maybe(TEXT)),
        draw(maybe(CODE)),
        draw(REFERENCES),
        draw(st.lists(PARTY, max_size=2)),
        events,
    )


GOODS = st.one_of(
    st.builds(
        Goods,
        kind=st.just("L5"),
        number=maybe(CODE),
        description=maybe(TEXT),
        commodity_code=maybe(TEXT),
        commodity_qualifier=maybe(CODE),
        packaging=maybe(CODE),
        weights=st.lists(WEIGHT, max_size=2),
    ),
    st.builds(
        Goods,
        kind=st.just("OID"),
        order_number=maybe(TEXT),
        purchase_order=maybe(TEXT),
        packaging=maybe(CODE),
        pieces=maybe(NUMBER),
        weight_unit=maybe(CODE),
        weight=maybe(NUMBER),
        weights=st.lists(WEIGHT, max_size=1),
    ),
    st.builds(
        Goods,
        kind=st.just("LAD"),
        packaging=maybe(CODE),
        pieces=maybe(NUMBER),
        weight_unit=maybe(CODE),
        weight=maybe(NUMBER),
        description=maybe(TEXT),
    ),
)
HAZMAT = st.builds(
    Hazmat,
    un_number=maybe(CODE),
    quantity=maybe(NUMBER),
    unit=maybe(CODE),
    packing_group=maybe(CODE),
    hazard_class=maybe(CODE),
    placard=maybe(TEXT),
    reportable_quantity=maybe(CODE),
    shipping_names=st.lists(TEXT, max_size=2),
    emergency_contact=maybe(TEXT),
    emergency_phone=maybe(TEXT),
)
STOP = st.builds(
    Stop,
    sequence=st.integers(1, 999),
    reason=CODE,
    weight=maybe(NUMBER),
    weight_unit=maybe(CODE),
    pieces=maybe(NUMBER),
    pieces_unit=maybe(CODE),
    references=REFERENCES,
    dates=st.lists(QDATE, max_size=2),
    weights=st.lists(WEIGHT, max_size=1),
    parties=st.lists(PARTY, max_size=2),
    notes=st.lists(TEXT, max_size=2),
    goods=st.lists(GOODS, max_size=2),
    hazmat=st.lists(HAZMAT, max_size=2),
)
LOAD = st.builds(
    LoadTender204,
    shipment_id=TEXT,
    scac=maybe(CODE),
    purpose=st.sampled_from(["00", "01", "04", "05", "06"]),
    payment_method=maybe(CODE),
    application_type=maybe(CODE),
    currency=maybe(st.sampled_from(["USD", "CAD"])),
    transport_method=maybe(CODE),
    references=REFERENCES,
    dates=st.lists(QDATE, max_size=2),
    notes=st.lists(TEXT, max_size=2),
    parties=st.lists(PARTY, max_size=2),
    equipment=st.lists(st.builds(Equipment, maybe(CODE), maybe(CODE), maybe(CODE), maybe(CODE)), max_size=2),
    stops=st.lists(STOP, max_size=3),
    total_weight=maybe(NUMBER),
    weight_qualifier=maybe(CODE),
    total_charge=maybe(MONEY),
    total_pieces=maybe(NUMBER),
)
RESPONSE = st.builds(
    TenderResponse990,
    scac=maybe(CODE),
    shipment_id=TEXT,
    action_code=st.just("A"),
    decision=st.just("accepted"),
    responded_on=maybe(DATE),
    references=REFERENCES,
    dates=st.lists(QDATE, max_size=2),
    notes=st.lists(TEXT, max_size=2),
)
ACK = st.builds(
    Acknowledgment997,
    functional_id=CODE,
    group_control_number=CODE,
    code=st.sampled_from("AEPR"),
    included=st.integers(0, 999),
    received=st.integers(0, 999),
    accepted=st.integers(0, 999),
    responses=st.lists(
        st.builds(
            TransactionResponse,
            set_id=CODE,
            control_number=CODE,
            code=st.sampled_from("AER"),
            errors=st.lists(CODE, max_size=5),
            notes=st.lists(
                st.builds(
                    SegmentNote,
                    CODE,
                    st.integers(1, 999),
                    maybe(CODE),
                    st.lists(st.builds(ElementNote, st.integers(1, 99), CODE, maybe(TEXT)), max_size=2),
                ),
                max_size=2,
            ),
        ),
        max_size=2,
    ),
    errors=st.lists(CODE, max_size=5),
)
ADVICE = st.builds(
    ApplicationAdvice824,
    reference=TEXT,
    on=maybe(DATE),
    at=maybe(TIME),
    purpose=st.sampled_from(["00", "11"]),
    parties=st.lists(PARTY, max_size=2),
    answers=st.lists(
        st.builds(
            AnsweredTransaction,
            code=st.sampled_from(["TA", "TE", "TR"]),
            reference_qualifier=CODE,
            reference=TEXT,
            set_id=maybe(CODE),
            group_control_number=maybe(CODE),
            control_number=maybe(CODE),
            references=REFERENCES,
            errors=st.lists(
                st.builds(
                    ApplicationError,
                    code=CODE,
                    words=maybe(TEXT),
                    segment_id=maybe(CODE),
                    position=maybe(st.integers(1, 999_999)),
                    bad_value=maybe(TEXT),
                    notes=st.lists(TEXT, max_size=2),
                ),
                max_size=2,
            ),
        ),
        min_size=1,
        max_size=2,
    ),
)
DOCUMENT = st.one_of(INVOICE, status(), LOAD, RESPONSE, ACK, ADVICE)
ENVELOPE = st.builds(
    Envelope,
    sender=CODE,
    receiver=CODE,
    control_number=st.integers(0, 999_999_999),
    at=st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2050, 1, 1)),  # noqa: DTZ001
    sender_qualifier=st.sampled_from(["02", "ZZ"]),
    group_control_number=st.integers(1, 999_999),
    delimiters=delimiters(),
)

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# a contradiction in generated content, not a fault of the file
EXPECTED = {"lines_do_not_sum", "missing_segment", "missing_value"}


@given(ENVELOPE, st.lists(DOCUMENT, max_size=4), st.sampled_from(["implied", "explicit"]))
@SLOW
def test_what_is_written_is_read(envelope, documents, decimals):
    assume(decimals == "implied" or "." not in envelope.delimiters.terminator)
    data = write(envelope, documents, decimals=decimals)
    result = read(data, PartnerProfile(implied_decimals=decimals))
    (interchange,) = result.interchanges
    assert (interchange.sender, interchange.receiver) == (envelope.sender, envelope.receiver)
    assert int(interchange.control_number) == envelope.control_number
    assert interchange.findings == []
    assert result.findings == []
    assert [t.document for t in interchange.transactions] == documents
    for transaction in interchange.transactions:
        assert {f.code for f in transaction.findings} <= EXPECTED
        assert data[transaction.byte_offset :].startswith(b"ST")


@given(ENVELOPE, ENVELOPE, st.lists(DOCUMENT, min_size=1, max_size=3), st.integers(1, 300))
@SLOW
def test_interchanges_with_different_delimiters_in_small_blocks(one, two, documents, block):
    data = write(one, documents) + write(two, documents)
    whole = read(data)
    assert [[t.document for t in i.transactions] for i in whole.interchanges] == [documents, documents]
    pieces = [item for item in read_stream(io.BytesIO(data), block=block) if isinstance(item, Transaction)]
    assert [p.document for p in pieces] == documents * 2
    assert [(p.segment_index, p.byte_offset, p.findings) for p in pieces] == [
        (t.segment_index, t.byte_offset, t.findings) for i in whole.interchanges for t in i.transactions
    ]


@given(ENVELOPE, st.lists(INVOICE, min_size=1, max_size=3))
@SLOW
def test_writing_again_what_was_read_changes_no_byte(envelope, invoices):
    data = write(envelope, invoices)
    again = [t.document for i in read(data).interchanges for t in i.transactions]
    assert write(envelope, again) == data
