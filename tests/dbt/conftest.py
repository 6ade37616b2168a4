"""A deployed warehouse of each test's own, and a world of bills that is settled once for all who look at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from billed_world import Settled, World, differences, judge, settle, touched
from deployed import copied, shaped, shaped_template

__all__ = ["settled_world", "shaped", "shaped_template"]


@pytest.fixture(scope="session")
def settled_world(postgres_server: Any, shaped_template: str) -> Iterator[Settled]:
    """Don't connect to its database: copy it."""
    world = World(seed=3, shipments=850)
    with copied(postgres_server, shaped_template) as warehouse:
        expected = judge(warehouse, world, settle(warehouse, world))
        found = Settled(warehouse.conn.info.dbname, expected, differences(warehouse, expected), touched(warehouse))
        warehouse.close()
        yield found
