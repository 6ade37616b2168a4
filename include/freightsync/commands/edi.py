"""`freightsync edi read FILE [--partner P]`: what is in an X12 file, as JSON.

Exit code 0 if an interchange was found (whatever is wrong in it is among the findings), 2 with a message on stderr if
there is none, the file can't be opened, or the partner is unknown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from freightsync.formats.x12 import PartnerProfile


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    edi = commands.add_parser("edi", help="look into EDI files", description="Look into EDI files.")
    actions = edi.add_subparsers(title="actions", metavar="ACTION", required=True)
    read = actions.add_parser(
        "read",
        help="print an X12 file as JSON",
        description="Print the interchanges of an X12 file, their documents and all findings, as JSON.",
    )
    read.add_argument("file", metavar="FILE", help="the file, or - for standard input")
    read.add_argument("--partner", metavar="P", help="read amounts and codes by this partner's profile")
    read.add_argument(
        "--partners",
        metavar="FILE",
        type=Path,
        default=Path(__file__).parent.parent / "partners.yaml",
        help="the file of partner profiles, YAML or TOML (default: the one installed)",
    )
    read.set_defaults(run=run_read)


def run_read(arguments: argparse.Namespace) -> int:
    from freightsync.formats.x12 import NotX12Error, ProfileError

    try:
        profile = _profile(arguments.partners, arguments.partner)
        if arguments.file == "-":
            _print_all(sys.stdin.buffer, profile)
        else:
            with open(arguments.file, "rb") as stream:
                _print_all(stream, profile)
    except NotX12Error as error:
        return _fail(f"{arguments.file}: {error}")
    except ProfileError as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename or arguments.file}: {error.strerror}")
    return 0


def _fail(message: str) -> int:
    print(f"freightsync edi read: {message}", file=sys.stderr)
    return 2


def _profile(path: Path, partner: str | None) -> PartnerProfile:
    from freightsync.formats.x12 import DEFAULT_PROFILE, ProfileError, profiles_from_dict

    if partner is None:
        return DEFAULT_PROFILE
    profiles = {name.upper(): profile for name, profile in profiles_from_dict(_load(path)).items()}
    if partner.upper() not in profiles:
        raise ProfileError(f"no partner {partner!r} in {path}; there are: {', '.join(sorted(profiles)) or 'none'}")
    return profiles[partner.upper()]


def _load(path: Path) -> dict[str, object]:
    from freightsync.formats.x12 import ProfileError

    text = path.read_text(encoding="utf-8")
    document: object
    if path.suffix == ".toml":
        import tomllib

        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ProfileError(f"{path}: {error}") from error
    else:
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ProfileError(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise ProfileError(f"{path} holds no mapping")
    return document


def _print_all(stream: IO[bytes], profile: PartnerProfile) -> None:
    for piece in _pieces(stream, profile):
        sys.stdout.write(piece)
    sys.stdout.write("\n")


def _pieces(stream: IO[bytes], profile: PartnerProfile) -> Iterator[str]:
    """The JSON text as it becomes known, so that a large file needs no large memory."""
    from freightsync.formats.x12 import Finding, Interchange, Transaction, read_stream
    from freightsync.formats.x12.render import header_json, transaction_json

    opened: Interchange | None = None
    started = False
    first = True
    loose: list[Finding] = []
    for item in read_stream(stream, profile):
        if isinstance(item, Finding):
            loose.append(item)
        elif isinstance(item, Transaction):
            yield ("\n" if first else ",\n") + _indented(transaction_json(item), 8)
            first = False
        elif item is not opened:
            opened = item
            head = _indented(header_json(item), 4).rstrip("}\n ")
            yield (",\n" if started else '{\n  "interchanges": [\n') + head + ',\n      "transactions": ['
            started = first = True
        else:
            findings = json.dumps([f.as_json() for f in item.findings], indent=2, ensure_ascii=False)
            yield (
                ("" if first else "\n      ")
                + '],\n      "findings": '
                + findings.replace("\n", "\n      ")
                + "\n    }"
            )
    if started:
        yield "\n  ],\n" + _indented([f.as_json() for f in loose], 2).replace("  ", '  "findings": ', 1) + "\n}"


def _indented(value: object, by: int) -> str:
    margin = " " * by
    return margin + json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + margin)
