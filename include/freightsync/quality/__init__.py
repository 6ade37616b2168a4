"""The gate: every landed record is admitted or quarantined with its reasons, every batch once.

Rules are data, one file a feed under expectations/. Each is compiled twice: to SQL that decides in one pass, and to a
Great Expectations suite for the verdict that people read (Data Docs). Great Expectations is imported only where it is
asked for: the way from a proof of delivery to its invoice does without.
"""

from freightsync.quality.gate import GateResult, gate
from freightsync.quality.release import release

__all__ = ["GateResult", "gate", "release"]
