"""Findings: what is wrong in an interchange, where, and how bad.

Severity says what a reader of the data may do:

- ``error``: the transaction (or, on an interchange, all of it) must not be used; its document is withheld. Where it is
  about one event among others of a 214, only that event is.
- ``warning``: readable, but it breaks a rule of the envelope or contradicts itself; somebody should look.
- ``info``: worth knowing, nothing to do.

Codes (stable; consumers map them to quarantine reasons):

======================== ======== =====================================================================
code                     severity meaning
======================== ======== =====================================================================
broken_isa               error    the ISA lacks elements; sender, receiver and number can't be trusted
isa_width                warning  an ISA element is not of its fixed width; delimiters found by counting
truncated_transaction    error    ST without its SE
unsupported_set          error    a transaction set that this project does not read
too_large                error    a transaction or an interchange beyond the reader's limits
missing_segment          error    a mandatory segment is absent
repeated_segment         error    a segment that may occur once occurs again (two documents run together); a warning
                                  where it says the same as before
missing_value            error    a mandatory value is empty; a warning where the document can do without it
unreadable_value         error    a mandatory value can't be read as its type; a warning where it is optional
conflicting_values       warning  values that exclude each other are both given
unknown_code             warning  a code that the partner's profile does not map
decimal_rule             warning  an amount is not written in the way that the partner's profile says, or finer than
                                  a cent
lines_do_not_sum         warning  a 210's charges differ from its net amount or are missing, or its L3 total differs
amount_not_summed        warning  an L1 carries advances or prepaid amounts, which are no charge
segment_count            warning  SE01 differs from the segments counted
control_number           warning  a trailer's control number differs from its header's
transaction_count        warning  GE01 differs from the transactions counted
group_count              warning  IEA01 differs from the groups counted
duplicate_control_number warning  two transactions of a group, two groups, or two interchanges of one sender for one
                                  receiver, have one control number
functional_group         warning  GS01 is not that of the transaction set
missing_gs, missing_ge,  warning  an envelope segment is absent
missing_iea
unexpected_segment       warning  a segment where none may stand
bad_segment_id           warning  something inside a transaction that is no segment
component_separator      warning  ISA16 repeats another delimiter
unterminated_segment     warning  the ISA, or the last segment unless a whole IEA, has no terminator
control_character        warning  a control character inside a value; a NUL is taken out, others are kept
junk                     warning  bytes that belong to no interchange
more                     info     there were more findings than are kept
======================== ======== =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Of one transaction, and of one interchange's envelope: hostile input shall not fill the memory.
MAX_FINDINGS = 200

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    segment_index: counts from 1 at the ISA of its interchange; 0 for bytes before the first ISA.
    byte_offset: of the segment's first byte, from 0 in the file.
    element: designator such as ``B307`` (segment B3, element 07), or None where it is about a whole segment.
    segment_id: as sent, where the segment stands in a transaction; None elsewhere.
    """

    severity: Severity
    code: str
    segment_index: int
    byte_offset: int
    element: str | None
    message: str
    segment_id: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "severity": self.severity,
            "code": self.code,
            "segment_index": self.segment_index,
            "byte_offset": self.byte_offset,
            "element": self.element,
            "message": self.message,
        }


def has_error(findings: list[Finding]) -> bool:
    return any(f.severity == "error" for f in findings)
