"""Calls that partners make to us: signature checked, landed, announced, in one short transaction.

The signature is the credential: `X-Freightsync-Timestamp` (unix seconds) and `X-Freightsync-Signature: v1=<hex>`,
hex = HMAC-SHA256(secret, timestamp + "." + body). A call that fails it is counted and becomes no record; of what a
stranger sends only so much is kept that nobody can fill the tables.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import psycopg

from freightsync.domain.errors import BadSignature, PermanentError
from freightsync.landing.store import announce, land
from freightsync.settings import Settings, SettingsError
from freightsync.settings import settings as current_settings
from freightsync.systems.audit import parse as audit
from freightsync.systems.carrier_api import bills
from freightsync.systems.carrier_api import parse as carrier_api
from freightsync.systems.driver import parse as driver
from freightsync.systems.parsed import Parsed, load_json
from freightsync.systems.partners import callers
from freightsync.systems.tms import parse as tms

TIMESTAMP = "x-freightsync-timestamp"
SIGNATURE = "x-freightsync-signature"
TOLERATED_SECONDS = 300

KEPT_BYTES = 2048
"""So much of a refused body is kept, with the hash and the length of the whole."""

KEPT_A_MINUTE = 60
"""So many refused calls of a partner are kept a minute; further ones are counted."""

PARSERS: dict[str, Callable[[bytes], dict[str, Parsed]]] = {
    "tms": tms.parse_events,
    "bluw": partial(carrier_api.parse_events, scac="BLUW"),
    "driver": driver.parse_events,
}
"""Who may call us, and how the body is read: feed -> what it holds."""


@dataclass(frozen=True)
class Receipt:
    """What a call brought. document_id is None for a call with nothing in it."""

    document_id: int | None
    records: int
    duplicates: int
    rejects: int


@dataclass(frozen=True)
class BillsReceipt:
    """What a call with bills or audit results brought. errors: what can't be taken in, in the sender's own terms, by
    position; such units are kept, and shown to the steward, but go no further."""

    correlation_id: str
    document_id: int
    records: int
    duplicates: int
    errors: tuple[tuple[str, str], ...]


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of the signature header."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


def receive(
    conn: psycopg.Connection[Any],
    partner: str,
    body: bytes,
    headers: Mapping[str, str],
    now: dt.datetime | None = None,
    *,
    settings: Settings | None = None,
) -> Receipt:
    """Takes one signed call: lands what it holds, tells the waiting consumers, commits.

    conn: without a transaction open; fit for a pool. now: with offset; this machine's clock if not given.
    Raises BadSignature (answer 401) after the refused call was counted, PermanentError for a partner that does not call
    us (answer 404). A body that can't be read is landed as an unreadable document: it was delivered, so answer 2xx.
    """
    now = now or dt.datetime.now(dt.UTC)
    parse = parser(partner)
    fault = refusal(shared_secret(partner, settings), headers, body, now)
    if fault is not None:
        refuse(conn, partner, fault, body)
    found = {feed: parsed for feed, parsed in parse(body).items() if parsed.units or parsed.unreadable}
    if not found:
        return Receipt(None, 0, 0, 0)
    with conn.transaction():
        landed = [
            land(
                conn,
                feed=feed,
                partner=partner,
                channel="webhook",
                name=_delivery_name(partner, now, body),
                content=body,
                parsed=parsed,
                run_id="inbound",
                received_at=now,
            )
            for feed, parsed in found.items()
        ]
        announce(conn, landed)
    return Receipt(
        landed[0].document_id,
        sum(one.records for one in landed),
        sum(one.duplicates for one in landed),
        sum(one.rejects for one in landed),
    )


def receive_bills(
    conn: psycopg.Connection[Any],
    partner: str,
    body: bytes,
    headers: Mapping[str, str],
    now: dt.datetime | None = None,
    *,
    settings: Settings | None = None,
) -> BillsReceipt:
    """Takes one signed call with a carrier's or an audit platform's bills, or its results; as `receive` does.

    Everything in it is landed, what can't be read as rejects; the sender is told at once what that is (answer 422).
    """
    now = now or dt.datetime.now(dt.UTC)
    parse = bill_parser(partner, settings)
    fault = refusal(shared_secret(partner, settings), headers, body, now)
    if fault is not None:
        refuse(conn, partner, fault, body)
    landed, errors = [], []
    with conn.transaction():
        for feed, parsed in parse(body).items():
            landed.append(
                land(
                    conn,
                    feed=feed,
                    partner=partner,
                    channel="api",
                    name=_delivery_name(partner, now, body),
                    content=body,
                    parsed=parsed,
                    run_id="inbound",
                    received_at=now,
                )
            )
            errors += [
                (reject.position, words) for reject in parsed.rejects for words in reject.messages[0].split("; ")
            ]
            if parsed.unreadable is not None:
                errors.append(("", parsed.unreadable.message))
        announce(conn, landed)
        first = landed[0].document_id
        row = conn.execute("select correlation_id from landing.document where document_id = %s", (first,)).fetchone()
        assert row is not None
    return BillsReceipt(
        row[0], first, sum(one.records for one in landed), sum(one.duplicates for one in landed), tuple(errors)
    )


def bill_parser(partner: str, settings: Settings | None = None) -> Callable[[bytes], dict[str, Parsed]]:
    """How a partner's bills are read. Raises PermanentError where it sends none over the API."""
    found = callers((settings or current_settings()).carrier_folder).get(partner)
    if found is None:
        raise _nobody(partner)
    if found.scac:
        return partial(bills.parse_bills, scac=found.scac)
    return partial(_from_platform, partner)


def _from_platform(platform: str, body: bytes) -> dict[str, Parsed]:
    """Results where there are any, else bills that the platform sends on for carriers."""
    try:
        document = load_json(body)
    except ValueError:
        document = None
    if isinstance(document, Mapping) and "results" in document:
        return audit.parse_results(body)
    return bills.parse_bills(body, scac="", platform=platform)


def parser(partner: str) -> Callable[[bytes], dict[str, Parsed]]:
    """How a partner's calls are read. Raises PermanentError where it does not call us; who does is not a stranger's
    business."""
    found = PARSERS.get(partner)
    if found is None:
        raise _nobody(partner)
    return found


def shared_secret(partner: str, settings: Settings | None = None) -> str:
    """What a partner signs with. Raises PermanentError where nothing has been agreed with it."""
    try:
        return (settings or current_settings()).partner(partner).webhook_secret.get_secret_value()
    except SettingsError:
        raise _nobody(partner) from None


def _nobody(partner: str) -> PermanentError:
    return PermanentError(
        f"no partner {partner!r} calls us", partner=partner, what_to_do="check the address that we agreed on"
    )


def refuse(conn: psycopg.Connection[Any], partner: str, reason: str, body: bytes = b"") -> NoReturn:
    """Keeps a refused call as far as a stranger may make us, counts it in any case, commits, raises BadSignature.
    `body` is empty where it was refused unread."""
    values = {
        "partner": partner,
        "path": f"/webhooks/{partner}",
        "reason": reason,
        "content": body[:KEPT_BYTES],
        "sha256": hashlib.sha256(body).digest(),
        "length": len(body),
        "most": KEPT_A_MINUTE,
    }
    with conn.transaction():
        kept = conn.execute(
            """
            insert into landing.refused_call (partner, path, reason, content, content_sha256, content_length)
            select %(partner)s, %(path)s, %(reason)s, %(content)s, %(sha256)s, %(length)s
            where (
                select count(*) from landing.refused_call
                where partner = %(partner)s and received_at > clock_timestamp() - interval '1 minute'
            ) < %(most)s
            """,
            values,
        ).rowcount
        if not kept:
            conn.execute(
                """
                insert into ops.refused_call_count as counted (partner, counted_on, calls)
                values (%(partner)s, current_date, 1)
                on conflict (partner, counted_on) do update set calls = counted.calls + 1
                """,
                values,
            )
    raise BadSignature(
        f"call refused: {reason}",
        partner=partner,
        what_to_do="sign timestamp + '.' + body with the secret that we share, and send it within 300 s",
    )


def refusal(secret: str, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> str | None:
    """Why a call is refused, as a code; None for a good one. Never says how near a wrong signature was."""
    fault = refusal_unread(secret, headers, now)
    if fault is not None:
        return fault
    given = {name.lower(): value for name, value in headers.items()}
    expected = sign(secret, given[TIMESTAMP], body)
    good = hmac.compare_digest(expected.encode(), given[SIGNATURE].encode("utf-8", "replace"))
    return None if good else "signature_wrong"


def refusal_unread(secret: str, headers: Mapping[str, str], now: dt.datetime) -> str | None:
    """Why a call is refused before its body is read, as a code; None where the body decides."""
    given = {name.lower(): value for name, value in headers.items()}
    timestamp, signature = given.get(TIMESTAMP, ""), given.get(SIGNATURE, "")
    if not secret:
        return "no_secret_shared"
    if not timestamp or not signature:
        return "signature_missing"
    try:
        age = abs(now.timestamp() - int(timestamp))
    except (ValueError, OverflowError):
        return "timestamp_unreadable"
    return "timestamp_too_old" if age > TOLERATED_SECONDS else None


def _delivery_name(partner: str, now: dt.datetime, body: bytes) -> str:
    return f"{partner}-{now.astimezone(dt.UTC):%Y%m%dT%H%M%S}-{hashlib.sha256(body).hexdigest()[:8]}"
