"""What differs from carrier to carrier, as data: `partners.yaml`, one entry a SCAC; and of freight audit platforms, one
entry a platform. A deployment's own folder may hold another `partners.yaml`, whose entries replace those of the same
name.
"""

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
    """A carrier, or an audit platform (then without a scac), that leaves files or calls our API.

    partner: its name in the settings. directory: on our SFTP server. calls: whether it sends bills over our API.
    """

    scac: str
    partner: str
    directory: str
    files: tuple[FileKind, ...]
    x12: PartnerProfile
    edifact: EdifactProfile = EDIFACT_DEFAULT
    calls: bool = False

    def kind_of(self, name: str) -> FileKind | None:
        return next((kind for kind in self.files if fnmatchcase(name, kind.pattern)), None)


@lru_cache(maxsize=8)
def carriers(path: Path = PARTNERS, folder: Path | None = None) -> tuple[Carrier, ...]:
    """Carriers and audit platforms with a `files` entry, by name. Raises PartnerError, or the errors of their EDI
    profiles."""
    document = _document(path, folder)
    profiles = profiles_from_dict(document)
    edifact = edifact_profiles_from_dict(document)
    found = [
        _carrier(scac, entry, profiles.get(scac, DEFAULT_PROFILE), edifact.get(scac, EDIFACT_DEFAULT))
        for scac, entry in sorted(document["partners"].items())
        if entry and ("files" in entry or "api" in entry)
    ]
    for name, entry in sorted(document["audit_platforms"].items()):
        files = {"partner": name, **dict((entry or {}).get("files") or {})}
        platform = _carrier("", {**(entry or {}), "files": files}, DEFAULT_PROFILE, EDIFACT_DEFAULT)
        if any(kind.format != "csv" for kind in platform.files):
            raise PartnerError(f"audit platform {name}: results come as tables (csv)")
        found.append(platform)
    return tuple(found)


def callers(folder: Path | None = None) -> dict[str, Carrier]:
    """Who may send bills over our API, by its name in the settings."""
    return {one.partner: one for one in carriers(folder=folder) if one.calls}


def _document(path: Path, folder: Path | None) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {"partners": {}, "audit_platforms": {}}
    places = [path]
    if folder is not None:
        if not folder.is_dir():
            raise PartnerError(f"the carrier folder {folder} is no directory")
        if (folder / PARTNERS.name).is_file():
            places.append(folder / PARTNERS.name)
    for place in places:
        try:
            document = yaml.safe_load(place.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise PartnerError(f"{place}: not YAML: {' '.join(str(error).split())}") from None
        if not isinstance(document, Mapping) or set(document) - set(merged):
            raise PartnerError(f"{place}: not a mapping of {' and '.join(merged)}")
        for key, entries in document.items():
            merged[key].update(entries or {})
    return merged


def _carrier(scac: str, entry: Mapping[str, Any], profile: PartnerProfile, edifact: EdifactProfile) -> Carrier:
    files = dict(entry.get("files") or {})
    named = scac or str(files.get("partner"))
    if unknown := set(files) - {"partner", "directory", "kinds"}:
        raise PartnerError(f"partner {named}: unknown key in files: {', '.join(sorted(unknown))}")
    kinds = []
    for pattern, kind in dict(files.get("kinds") or {}).items():
        if unknown := set(kind) - {"feed", "format", "mapping"}:
            raise PartnerError(f"partner {named}: files {pattern}: unknown key {', '.join(sorted(unknown))}")
        if kind.get("format") not in ("x12", "edifact", "csv") or not kind.get("feed"):
            raise PartnerError(f"partner {named}: files {pattern}: a feed and a format (x12, edifact, csv) are needed")
        if (kind["format"] == "csv") != ("mapping" in kind):
            raise PartnerError(f"partner {named}: files {pattern}: a csv, and only a csv, names its mapping")
        kinds.append(FileKind(str(pattern), str(kind["feed"]), cast(Format, kind["format"]), kind.get("mapping")))
    calls = entry.get("api", False)
    if not isinstance(calls, bool):
        raise PartnerError(f"partner {named}: api is true or false, not {calls!r}")
    partner = str(files.get("partner") or scac.lower())
    return Carrier(scac, partner, str(files.get("directory") or partner), tuple(kinds), profile, edifact, calls)
