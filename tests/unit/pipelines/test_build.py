"""Which failures of a build may go away by themselves."""

from __future__ import annotations

import pytest

from freightsync.domain.errors import PermanentError, TransientError
from freightsync.pipelines.build import Node, _failure


@pytest.mark.parametrize(
    "message",
    [
        "server closed the connection unexpectedly",
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error: EOF detected",
        'connection to server at "db", port 5432 failed: timeout expired',
        "FATAL:  sorry, too many clients already",
        "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "deadlock detected",
    ],
)
def test_a_lost_or_full_database_is_tried_again(message: str) -> None:
    error = _failure(
        [Node("model.freightsync.shipment", "error", 1.0, f"Database Error\n  {message}")], "tag:shipments"
    )
    assert isinstance(error, TransientError)


def test_a_model_that_is_wrong_stays_so() -> None:
    node = Node("model.freightsync.shipment", "error", 1.0, 'Database Error\n  column "milestone" does not exist')
    assert isinstance(_failure([node], "tag:shipments"), PermanentError)
