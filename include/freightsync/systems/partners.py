"""Who sends us files or calls, and how they differ, as data: `partners.yaml`.

Carriers are entries of `partners`, by their SCAC; everybody else who sends (a bank, the pricing team, a freight audit
platform) is an entry of `senders`, by its name in the settings. A deployment's own folder may hold another
`partners.yaml`, whose entries replace those of the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

import yaml

from freightsync.formats.edifact.profile import DEFAULT_PROFILE as EDIFACT_DEFAULT
from freightsync.formats.edifact.profile import EdifactProfile, edifact_profiles_from_dict
from freightsync.formats.x12.profile import DEFAULT_PROFILE, PartnerProfile, profiles_from_dict

PARTNERS = Path(__file__).parent.parent / "partners.yaml"

Format = Literal["x12", "edifact", "csv", "camt053", "remt001"]
"""x12, edifact: EDI, of which a file's content says which; csv: a table by mapping, CSV or XLSX; camt053, remt001:
messages of ISO 20022."""

FORMATS: tuple[str, ...] = get_args(Format)
EDI: tuple[str, ...] = ("x12", "edifact")


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
class Sender:
    """Somebody who leaves files for us or calls our API. scac: empty for one who is no carrier.

    partner: its name in the settings. directory: on our SFTP server. calls: whether it sends bills, or results of an
    audit, over our API.
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
def senders(path: Path = PARTNERS, folder: Path | None = None) -> tuple[Sender, ...]:
    """Everybody with a `files` or an `api` entry: carriers by SCAC, then the others by name. Raises PartnerError, or
    the errors of their EDI profiles."""
    document = _document(path, folder)
    profiles = profiles_from_dict(document)
    edifact = edifact_profiles_from_dict(document)
    found = [
        _sender(scac, scac, entry, profiles.get(scac, DEFAULT_PROFILE), edifact.get(scac, EDIFACT_DEFAULT))
        for scac, entry in sorted(document["partners"].items())
        if entry and ("files" in entry or "api" in entry)
    ]
    for name, entry in sorted(document["senders"].items()):
        if unknown := set(entry or {}) - {"files", "api"}:
            raise PartnerError(f"sender {name}: unknown key {', '.join(sorted(unknown))}")
        found.append(_sender(name, "", entry or {}, DEFAULT_PROFILE, EDIFACT_DEFAULT))
    names = [one.partner for one in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise PartnerError(f"more than one entry is {', '.join(sorted(twice))} in the settings")
    return tuple(found)


def carriers(path: Path = PARTNERS, folder: Path | None = None) -> tuple[Sender, ...]:
    """Those of `senders` that are carriers."""
    return tuple(one for one in senders(path, folder) if one.scac)


def callers(folder: Path | None = None) -> dict[str, Sender]:
    """Who may send bills over our API, by its name in the settings."""
    return {one.partner: one for one in senders(folder=folder) if one.calls}


def _document(path: Path, folder: Path | None) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {"partners": {}, "senders": {}}
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
            if not isinstance(entries or {}, Mapping):
                raise PartnerError(f"{place}: {key} is no mapping of names to entries")
            for name, entry in (entries or {}).items():
                if not isinstance(entry or {}, Mapping):
                    raise PartnerError(f"{place}: {key}: {name} is no mapping")
                merged[key][str(name)] = entry
    return merged


def _sender(name: str, scac: str, entry: Mapping[str, Any], profile: PartnerProfile, edifact: EdifactProfile) -> Sender:
    files = dict(entry.get("files") or {})
    if unknown := set(files) - {"directory", "kinds", *(["partner"] if scac else [])}:
        raise PartnerError(f"partner {name}: unknown key in files: {', '.join(sorted(unknown))}")
    kinds = []
    for pattern, kind in dict(files.get("kinds") or {}).items():
        where = f"partner {name}: files {pattern}"
        if unknown := set(kind) - {"feed", "format", "mapping"}:
            raise PartnerError(f"{where}: unknown key {', '.join(sorted(unknown))}")
        if kind.get("format") not in FORMATS or not kind.get("feed"):
            raise PartnerError(f"{where}: a feed and a format ({', '.join(FORMATS)}) are needed")
        if (kind["format"] == "csv") != ("mapping" in kind):
            raise PartnerError(f"{where}: a csv, and only a csv, names its mapping")
        if not scac and (kind["format"] in EDI or str(kind["feed"]).startswith("carrier.")):
            raise PartnerError(f"{where}: it is a carrier's, who is an entry of `partners` by its SCAC")
        kinds.append(FileKind(str(pattern), str(kind["feed"]), cast(Format, kind["format"]), kind.get("mapping")))
    calls = entry.get("api", False)
    if not isinstance(calls, bool):
        raise PartnerError(f"partner {name}: api is true or false, not {calls!r}")
    partner = str(files.get("partner") or name.lower()) if scac else name
    return Sender(scac, partner, str(files.get("directory") or partner), tuple(kinds), profile, edifact, calls)
