"""Where the mapping files of tables lie: in the folder of their system, and in the one that a deployment names.

A deployment's file is taken instead of an installed one of the same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from freightsync.formats.tabular import MappingError


def find(name: str, installed: Path, folder: Path | None = None) -> Path:
    """A mapping by its file's name. Raises MappingError where there is none, or the name is more than that."""
    if Path(name).name != name or name.startswith("."):
        raise MappingError(f"a mapping is named by its file, without a path: {name!r}")
    places = [place for place in (folder, installed) if place is not None]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise MappingError(f"no mapping {name} in {' or '.join(str(place) for place in places)}")


def load(path: Path) -> Any:
    """What the file holds. Raises MappingError for what is no YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise MappingError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from None
