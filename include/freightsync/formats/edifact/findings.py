"""Findings in EDIFACT: what is wrong in an interchange, where, and how bad. Severities mean what they mean in X12.

segment_index counts from 1 at the UNB of its interchange (the UNA is 0); element is a designator such as ``MOA01.2``
(segment MOA, element 01, component 2).

Codes (stable; consumers map them to quarantine reasons):

======================== ======== =====================================================================
code                     severity meaning
======================== ======== =====================================================================
broken_unb               error    an interchange starts, but its UNA or UNB can't be read: no delimiter, no sender, no
                                  reference can be trusted
truncated_message        error    UNH without its UNT
unsupported_message      error    a message type that this project does not read
too_large                error    a message or a segment beyond the reader's limits
missing_segment          error    a mandatory segment is absent
repeated_segment         error    a segment that may occur once occurs again and says something else; a warning where it
                                  says the same
missing_value            error    a mandatory value is empty; a warning where the document can do without it
unreadable_value         error    a mandatory value can't be read as its type; a warning where it is optional
conflicting_values       error    two amounts of one meaning differ, or amounts are in another currency than the bill
decimal_mark             warning  a number has another decimal mark than the UNA says
lines_do_not_sum         warning  an invoice's charges differ from its net amount
totals_differ            warning  net and tax differ from the amount with tax, or two totals from each other
control_count            warning  CNT differs from the line items counted
segment_count            warning  UNT differs from the segments counted
control_number           warning  a trailer's reference differs from its header's
message_count            warning  UNZ or UNE differs from what was counted
duplicate_control_number warning  two messages of an interchange, or two interchanges of one sender for one receiver,
                                  have one reference
missing_unz, missing_une warning  an envelope segment is absent
unexpected_segment       warning  a segment where none may stand
bad_segment_id           warning  something inside a message that is no segment
unterminated_segment     warning  the last segment has no terminator
undecodable              warning  text that is not in the character set of the UNB; read as Windows-1252
junk                     warning  bytes that belong to no interchange
more                     info     there were more findings than are kept
======================== ======== =====================================================================
"""

from freightsync.formats.x12.findings import MAX_FINDINGS, Finding, Severity, has_error

__all__ = ["MAX_FINDINGS", "Finding", "Severity", "has_error"]
