"""What was read -> JSON-ready values: the shape that `freightsync edi read` prints."""

from __future__ import annotations

from freightsync.formats.x12 import tx204, tx210, tx214, tx824, tx990, tx997
from freightsync.formats.x12.reader import Document, Interchange, Transaction


def document_json(document: Document) -> dict[str, object]:
    """Decimals as exact strings, dates as ISO 8601, absent values as null."""
    match document:
        case tx210.Invoice210():
            return tx210.as_json(document)
        case tx214.Status214():
            return tx214.as_json(document)
        case tx204.LoadTender204():
            return tx204.as_json(document)
        case tx990.TenderResponse990():
            return tx990.as_json(document)
        case tx997.Acknowledgment997():
            return tx997.as_json(document)
        case tx824.ApplicationAdvice824():
            return tx824.as_json(document)


def transaction_json(transaction: Transaction) -> dict[str, object]:
    return {
        "set": transaction.set_id,
        "control_number": transaction.control_number,
        "segment_index": transaction.segment_index,
        "byte_offset": transaction.byte_offset,
        "document": None if transaction.document is None else document_json(transaction.document),
        "findings": [finding.as_json() for finding in transaction.findings],
    }


def header_json(interchange: Interchange) -> dict[str, object]:
    envelope = interchange.envelope
    return {
        "sender": envelope.sender,
        "receiver": envelope.receiver,
        "control_number": envelope.control_number,
        "sender_qualifier": envelope.sender_qualifier,
        "receiver_qualifier": envelope.receiver_qualifier,
        "version": envelope.version,
        "usage": envelope.usage,
        "byte_offset": envelope.byte_offset,
    }
