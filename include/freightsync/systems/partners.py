"""What differs from carrier to carrier, as data: `partners.yaml`, one entry a SCAC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from freightsync.formats.edifact.profile import DEFAULT_PROFILE as EDIFACT_DEFAULT
from freightsync.formats.edifact.profile import EdifactProfile, edifact_profiles_from_dict
from freightsync.formats.x12.profile import DEFAULT_PROFILE, PartnerProfile, profiles_from_dict

PARTNERS = Path(__file__).parent.parent / "partners.yaml"

Format = Literal["x12", "edifact", "csv"]
"""x12, edifact: EDI, of which a file's content says which; csv: a table by mapping, CSV or XLSX."""


class PartnerError(ValueError):
    """An entry of partners.yaml that can't be understood; names it."""


@dataclass(frozen=True)
class FileKind:
    """Files of one name pattern: the feed they are for, how they are written, and the mapping of a table."""

    pattern: str
    feed: str
    format: Format
    mapping: str | None = None


@dataclass(frozen=True)
class Carrier:
    """A carrier that leaves files. partner: its name in the settings. directory: on our SFTP server."""

    scac: str
    partner: str
    directory: str
    files: tuple[FileKind, ...]
    x12: PartnerProfile
    edifact: EdifactProfile = EDIFACT_DEFAULT

    def kind_of(self, name: str) -> FileKind | None:
        return next((kind for kind in self.files if fnmatchcase(name, kind.pattern)), None)


@lru_cache(maxsize=4)
def carriers(path: Path = PARTNERS) -> tuple[Carrier, ...]:
    """Carriers with a `files` entry, by SCAC. Raises PartnerError, or the errors of their EDI profiles."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    profiles = profiles_from_dict(document)
    edifact = edifact_profiles_from_dict(document)
    return tuple(
        _carrier(scac, entry["files"], profiles.get(scac, DEFAULT_PROFILE), edifact.get(scac, EDIFACT_DEFAULT))
        for scac, entry in sorted(document["partners"].items())
        if entry and "files" in entry
    )


def _carrier(scac: str, files: Mapping[str, Any], profile: PartnerProfile, edifact: EdifactProfile) -> Carrier:
    if unknown := set(files) - {"partner", "directory", "kinds"}:
        raise PartnerError(f"partner {scac}: unknown key in files: {', '.join(sorted(unknown))}")
    kinds = []
    for pattern, entry in dict(files.get("kinds") or {}).items():
        if unknown := set(entry) - {"feed", "format", "mapping"}:
            raise PartnerError(f"partner {scac}: files {pattern}: unknown key {', '.join(sorted(unknown))}")
        if entry.get("format") not in ("x12", "edifact", "csv") or not entry.get("feed"):
            raise PartnerError(f"partner {scac}: files {pattern}: a feed and a format (x12, edifact, csv) are needed")
        if (entry["format"] == "csv") != ("mapping" in entry):
            raise PartnerError(f"partner {scac}: files {pattern}: a csv, and only a csv, names its mapping")
        kinds.append(FileKind(str(pattern), str(entry["feed"]), cast(Format, entry["format"]), entry.get("mapping")))
    partner = str(files.get("partner") or scac.lower())
    return Carrier(scac, partner, str(files.get("directory") or partner), tuple(kinds), profile, edifact)
