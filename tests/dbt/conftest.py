"""A deployed warehouse of each test's own."""

from __future__ import annotations

from deployed import shaped, shaped_template

__all__ = ["shaped", "shaped_template"]
