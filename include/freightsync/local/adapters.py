"""Country adapters: found by folder, read and checked before anything of them is recorded."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from freightsync.domain.errors import PermanentError
from freightsync.local.conditions import compile_conditions

HERE = Path(__file__).parent
FILES = {"zones": "tax_zone", "identifiers": "tax_identifier", "rules": "tax_rule", "rates": "tax_rate"}
"""File of a folder → table of schema `rules`."""

_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class AdapterInvalid(PermanentError):
    """A country adapter that can't be used; the message names file and row."""


@dataclass(frozen=True)
class Adapter:
    """One folder. `tables`: table of schema `rules` → rows as its CSV has them, conditions compiled."""

    name: str
    folder: Path
    tables: Mapping[str, Sequence[Mapping[str, str]]]
    einvoice: Mapping[str, Any] = field(default_factory=dict)

    @property
    def countries(self) -> set[str]:
        """Whose sellers it judges, at one time or another."""
        return {row["country"] for row in self.tables["tax_zone"] if row["zone"] == self.name}


def adapters(directories: Iterable[Path] = ()) -> list[Adapter]:
    """Ours, and those in further directories (one folder an adapter), by name.

    Raises AdapterInvalid for a folder that breaks a rule of the house, two of one name, or a country judged by two.
    """
    found: dict[str, Adapter] = {}
    for directory in (HERE, *directories):
        for folder in sorted(directory.iterdir()):
            if not (folder / "zones.csv").is_file():
                continue
            adapter = read(folder)
            if adapter.name in found:
                raise AdapterInvalid(
                    f"there are two adapters {adapter.name}: {found[adapter.name].folder} and {folder}",
                    what_to_do="rename one, and the zone that is named as it",
                )
            found[adapter.name] = adapter
    judged: dict[str, str] = {}
    for adapter in found.values():
        for country in sorted(adapter.countries):
            other = judged.setdefault(country, adapter.name)
            if other != adapter.name:
                raise AdapterInvalid(
                    f"sellers in {country} are judged by {other} and by {adapter.name}",
                    what_to_do="take the country out of one of the two zones.csv",
                )
    return [found[name] for name in sorted(found)]


def read(folder: Path) -> Adapter:
    """Raises AdapterInvalid."""
    if not _NAME.match(folder.name):
        raise AdapterInvalid(f"{folder.name!r} is no name of an adapter", what_to_do="use lower case letters")
    tables = {
        table: _rows(folder, file, table)
        for file, table in FILES.items()
        if file == "zones" or (folder / f"{file}.csv").is_file()
    }
    profile = folder / "einvoice.yaml"
    einvoice = yaml.safe_load(profile.read_text(encoding="utf-8")) if profile.is_file() else {}
    adapter = Adapter(folder.name, folder, tables, einvoice)
    if not adapter.countries:
        raise AdapterInvalid(
            f"adapter {folder.name} judges nobody", what_to_do=f"add rows with zone {folder.name} to its zones.csv"
        )
    return adapter


def _rows(folder: Path, file: str, table: str) -> list[dict[str, str]]:
    out = []
    with (folder / f"{file}.csv").open(encoding="utf-8", newline="") as handle:
        for number, row in enumerate(csv.DictReader(handle), 2):
            where = f"{folder.name}/{file}.csv row {number}"
            if None in row or None in row.values():
                raise AdapterInvalid(f"{where} has not as many columns as its head")
            values = {str(name): value for name, value in row.items()}
            if table == "tax_rule":
                try:
                    values["conditions"] = json.dumps(compile_conditions(values["conditions"]))
                except ValueError as error:
                    raise AdapterInvalid(f"{where}: {error}") from error
                if not values["source"]:
                    raise AdapterInvalid(f"{where}: a rule names its source")
                values["adapter"] = folder.name
                values.setdefault("note", values["reason"])
            out.append(values)
    return out


def profile_of(adapter: Adapter, country: str, wanted: str = "") -> tuple[str, Mapping[str, Any]]:
    """Name and settings of the e-invoice profile of a seller in the country. Raises AdapterInvalid where none is."""
    profiles: Mapping[str, Mapping[str, Any]] = adapter.einvoice.get("profiles", {})
    name = wanted or adapter.einvoice.get("by_country", {}).get(country) or adapter.einvoice.get("default", "")
    if name not in profiles:
        raise AdapterInvalid(
            f"adapter {adapter.name} has no e-invoice profile {name or 'at all'}".rstrip(),
            what_to_do=f"choose one of {', '.join(profiles)}" if profiles else f"add {adapter.name}/einvoice.yaml",
        )
    return name, profiles[name]
