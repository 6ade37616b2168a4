"""The rooms import in one direction only: dags → plugins → include, and inside include from the command line down to
the domain. Imports inside functions count: a direction is not kept by hiding it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "include" / "freightsync"

ANYONE = {"settings", "domain"}
STAGES = {"landing", "quality", "effects", "cases", "delivery", "reports"}

MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "settings": set(),
    "formats": set(),
    "warehouse": {"formats"},
    "local": {"warehouse", "formats"},
    "rules": {"warehouse", "local"},
    "einvoice": {"warehouse", "formats", "local", "systems"},
    "systems": {"formats", "warehouse"},
    "landing": {"systems", "warehouse", "formats"},
    "quality": {"landing", "systems", "warehouse", "formats"},
    "effects": {"warehouse"},
    "cases": {"effects", "warehouse"},
    "delivery": {"effects", "systems", "warehouse"},
    "reports": {"formats", "warehouse"},
    "pipelines": STAGES | {"systems", "warehouse", "formats", "rules"},
    "sandbox": {"formats"},
    "proof": STAGES | {"pipelines", "systems", "warehouse", "formats", "stack", "sandbox"},
    "stack": {"warehouse", "rules", "pipelines", "sandbox", "proof"},
    "commands": STAGES
    | {
        "pipelines",
        "systems",
        "warehouse",
        "formats",
        "rules",
        "local",
        "einvoice",
        "sandbox",
        "proof",
        "stack",
        "cli",
    },
    "cli": {"commands"},
}
"""By room, the rooms it may import besides itself, the domain and the settings."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def violations(path: Path, room: str) -> list[str]:
    allowed = MAY_IMPORT[room] | ANYONE | {room}
    found = []
    for line, name in imported(path):
        parts = name.split(".")
        if parts[0] in ("airflow", "freightsync_airflow"):
            found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}: Airflow stays in plugins/")
        if parts[0] == "freightsync" and len(parts) > 1:
            known = (PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists()
            if known and parts[1] not in allowed:
                found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}: {room} may not")
    return found


def test_rooms_are_known() -> None:
    found = {room_of(path) for path in modules()} - {"__init__", "__main__"}
    assert found <= set(MAY_IMPORT), f"say in this test what {sorted(found - set(MAY_IMPORT))} may import"
    assert {"domain", "effects", "pipelines"} <= found


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below(room: str) -> None:
    found = [line for path in modules() if room_of(path) == room for line in violations(path, room)]
    assert not found, "\n".join(found)


def test_systems_do_not_import_each_other() -> None:
    found = []
    for path in (PACKAGE / "systems").rglob("*.py"):
        parts = path.relative_to(PACKAGE / "systems").parts
        if len(parts) < 2:
            continue
        for line, name in imported(path):
            names = name.split(".")
            if names[:2] != ["freightsync", "systems"] or len(names) < 3 or names[2] == parts[0]:
                continue
            if (PACKAGE / "systems" / names[2]).is_dir():
                found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}")
    assert not found, "\n".join(found)


def test_dag_files_are_wired_from_the_sdk_and_our_plugin_alone() -> None:
    allowed = {"airflow.sdk", "freightsync_airflow"}
    found = [
        f"{path.name}:{line} imports {name}"
        for path in sorted((REPOSITORY / "dags").glob("*.py"))
        for line, name in imported(path)
        if not any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
    ]
    assert not found, "\n".join(found)


def test_the_check_sees_a_violation(tmp_path: Path) -> None:
    culprit = PACKAGE / "domain" / "names.py"
    source = culprit.read_text(encoding="utf-8")
    copy = tmp_path / "names.py"
    copy.write_text(source + "\n\ndef late():\n    from freightsync.effects import runs\n    import airflow.sdk\n")
    names = [name for _, name in imported(copy)]
    assert "freightsync.effects.runs" in names
    assert "airflow.sdk" in names
