"""What was read -> JSON-ready values: the shape that `freightsync edi read` prints, the same as for X12."""

from __future__ import annotations

from freightsync.formats.edifact import contrl, invoic
from freightsync.formats.edifact.reader import Document, Interchange, Message


def document_json(document: Document) -> dict[str, object]:
    """Decimals as exact strings, dates as ISO 8601, absent values as null."""
    match document:
        case invoic.Invoic():
            return invoic.as_json(document)
        case contrl.Control():
            return contrl.as_json(document)


def message_json(message: Message) -> dict[str, object]:
    return {
        "set": message.message_type,
        "control_number": message.control_number,
        "segment_index": message.segment_index,
        "byte_offset": message.byte_offset,
        "document": None if message.document is None else document_json(message.document),
        "findings": [finding.as_json() for finding in message.findings],
    }


def header_json(interchange: Interchange) -> dict[str, object]:
    return {
        "sender": interchange.sender,
        "receiver": interchange.receiver,
        "control_number": interchange.control_number,
        "sender_qualifier": interchange.sender_qualifier,
        "receiver_qualifier": interchange.receiver_qualifier,
        "version": f"{interchange.syntax}:{interchange.version}",
        "usage": "T" if interchange.test else "P",
        "byte_offset": interchange.byte_offset,
    }
