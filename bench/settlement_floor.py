"""The floor: stub."""
