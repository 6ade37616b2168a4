"""ISO 20022 messages of banks: account statements (camt.053, releases 02 to 13) and remittance advices
(remt.001).

Releases differ in small places (where a status or a party's name stands), so elements are found by their local names,
whatever namespace or prefix. The XML is read with a bare tokenizer that refuses document type declarations, and with
them entities and anything outside the file.
"""

from freightsync.formats.iso20022.camt053 import Detail, Entry, Statement, read_statements
from freightsync.formats.iso20022.information import Finding, ReferredDocument
from freightsync.formats.iso20022.remt001 import Advice, read_advices
from freightsync.formats.iso20022.tree import UnreadableXml
from freightsync.formats.iso20022.writer import write_statement

__all__ = [
    "Advice",
    "Detail",
    "Entry",
    "Finding",
    "ReferredDocument",
    "Statement",
    "UnreadableXml",
    "read_advices",
    "read_statements",
    "write_statement",
]
