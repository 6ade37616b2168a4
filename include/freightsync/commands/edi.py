"""`freightsync edi read FILE [--partner P]`: what is in an X12 or EDIFACT file, as JSON of one shape.

Exit code 0 if an interchange was found (whatever is wrong in it is among the findings), 2 with a message on stderr if
there is none, the file can't be opened, or the partner is unknown.

`freightsync edi answers`: what carriers said of our messages, and what nobody acknowledged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from freightsync.formats.edifact import EdifactProfile
    from freightsync.formats.x12 import PartnerProfile


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    edi = commands.add_parser("edi", help="look into EDI files", description="Look into EDI files.")
    actions = edi.add_subparsers(title="actions", metavar="ACTION", required=True)
    read = actions.add_parser(
        "read",
        help="print an X12 or EDIFACT file as JSON",
        description="Print the interchanges of an X12 or EDIFACT file, their documents and all findings, as JSON.",
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
    answers = actions.add_parser(
        "answers",
        help="what carriers made of our messages, where somebody has to look",
        description="Rejections, answers to what we never sent, and advices of ours that nobody acknowledged.",
    )
    answers.add_argument("--all", action="store_true", help="also what is in order")
    answers.add_argument("--json", action="store_true", help="as JSON")
    answers.set_defaults(run=run_answers)


def run_read(arguments: argparse.Namespace) -> int:
    from freightsync.formats.edifact import EdifactProfileError, NotEdifactError
    from freightsync.formats.x12 import NotX12Error, ProfileError

    try:
        profiles = _profiles(arguments.partners, arguments.partner)
        if arguments.file == "-":
            _print_all(sys.stdin.buffer, *profiles)
        else:
            with open(arguments.file, "rb") as stream:
                _print_all(stream, *profiles)
    except (NotX12Error, NotEdifactError) as error:
        return _fail(f"{arguments.file}: {error}")
    except (ProfileError, EdifactProfileError) as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        return _fail(f"{error.filename or arguments.file}: {error.strerror}")
    return 0


_ANSWERS = """
    select partner, kind, verdict, answers, needs_a_look, about, coalesce(errors ->> 0, '') as words, admitted_at as at
    from decisions.edi_answer_link
    where needs_a_look or %(all)s
    union all
    select partner, set_id, state, 'nothing', true, invoice_number, reason, sent_at
    from decisions.edi_sent
    where state in ('not_sent', 'unacknowledged')
    order by 1, 8 nulls last, 6
"""
_ABOUT = {
    "advice": "on our advice about bill",
    "carrier_invoice": "on its bill",
    "several_invoices": "on several bills, named",
    "shipment": "on shipment",
    "nothing_of_ours": "on nothing of ours, named",
    "nothing": "our advice about bill",
}


def run_answers(arguments: argparse.Namespace) -> int:
    from psycopg.rows import dict_row

    from freightsync.settings import Settings
    from freightsync.warehouse.connection import connect

    with connect(Settings.load().dsn("report"), application_name="freightsync edi answers") as conn:
        found = conn.cursor(row_factory=dict_row).execute(_ANSWERS, {"all": arguments.all}).fetchall()
    if arguments.json:
        print(json.dumps(found, default=str, indent=1))
        return 0
    for one in found:
        words = f": {one['words']}" if one["words"] else ""
        verdict = one["verdict"].replace("_", " ")
        print(shown(f"{one['partner']}  {one['kind']}  {verdict}  {_ABOUT[one['answers']]} {one['about']}{words}"))
    if not found:
        print("Carriers took all that we sent them, and said nothing that somebody has to look at.")
    return 0


def shown(text: str) -> str:
    """A line with what partners wrote, for a terminal: control characters in it must not steer it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _fail(message: str) -> int:
    print(f"freightsync edi read: {message}", file=sys.stderr)
    return 2


def _profiles(path: Path, partner: str | None) -> tuple[PartnerProfile, EdifactProfile]:
    from freightsync.formats import edifact, x12

    if partner is None:
        return x12.DEFAULT_PROFILE, edifact.DEFAULT_PROFILE
    document = _load(path)
    profiles = {name.upper(): profile for name, profile in x12.profiles_from_dict(document).items()}
    if partner.upper() not in profiles:
        raise x12.ProfileError(f"no partner {partner!r} in {path}; there are: {', '.join(sorted(profiles)) or 'none'}")
    others = {name.upper(): profile for name, profile in edifact.edifact_profiles_from_dict(document).items()}
    return profiles[partner.upper()], others[partner.upper()]


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


def _print_all(stream: IO[bytes], profile: PartnerProfile, edifact: EdifactProfile) -> None:
    from freightsync.formats.edifact import looks_like

    head, whole = _peeked(stream)
    pieces = _pieces(_edifact_items(whole, edifact) if looks_like(head) else _x12_items(whole, profile))
    for piece in pieces:
        sys.stdout.write(piece)
    sys.stdout.write("\n")


def _peeked(stream: IO[bytes]) -> tuple[bytes, IO[bytes]]:
    """The beginning, and a stream that still has it (standard input can't be rewound)."""
    head = stream.read(512)
    if stream.seekable():
        stream.seek(0)
        return head, stream
    return head, cast("IO[bytes]", _Rejoined(head, stream))


class _Rejoined:
    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._rest.read(size)
        head, self._head = self._head, b""
        return head


Item = tuple[str, object, dict[str, object]]
"""What comes out of a reader, for either format: `opened` and `closed` an interchange (by identity), `document`,
`loose`; with its JSON."""


def _x12_items(stream: IO[bytes], profile: PartnerProfile) -> Iterator[Item]:
    from freightsync.formats.x12 import Finding, Transaction, read_stream
    from freightsync.formats.x12.render import header_json, transaction_json

    opened: object = None
    for item in read_stream(stream, profile):
        if isinstance(item, Finding):
            yield "loose", item, item.as_json()
        elif isinstance(item, Transaction):
            yield "document", item, transaction_json(item)
        elif item is not opened:
            opened = item
            yield "opened", item, header_json(item)
        else:
            yield "closed", item, {"findings": [finding.as_json() for finding in item.findings]}


def _edifact_items(stream: IO[bytes], profile: EdifactProfile) -> Iterator[Item]:
    from freightsync.formats.edifact import Finding, Message, read_stream
    from freightsync.formats.edifact.render import header_json, message_json

    opened: object = None
    for item in read_stream(stream, profile):
        if isinstance(item, Finding):
            yield "loose", item, item.as_json()
        elif isinstance(item, Message):
            yield "document", item, message_json(item)
        elif item is not opened:
            opened = item
            yield "opened", item, header_json(item)
        else:
            yield "closed", item, {"findings": [finding.as_json() for finding in item.findings]}


def _pieces(items: Iterator[Item]) -> Iterator[str]:
    """The JSON text as it becomes known, so that a large file needs no large memory."""
    started = False
    first = True
    loose: list[object] = []
    for kind, _, shown in items:
        if kind == "loose":
            loose.append(shown)
        elif kind == "document":
            yield ("\n" if first else ",\n") + _indented(shown, 8)
            first = False
        elif kind == "opened":
            head = _indented(shown, 4).rstrip("}\n ")
            yield (",\n" if started else '{\n  "interchanges": [\n') + head + ',\n      "transactions": ['
            started = first = True
        else:
            findings = json.dumps(shown["findings"], indent=2, ensure_ascii=False)
            yield (
                ("" if first else "\n      ")
                + '],\n      "findings": '
                + findings.replace("\n", "\n      ")
                + "\n    }"
            )
    if started:
        yield "\n  ],\n" + _indented(loose, 2).replace("  ", '  "findings": ', 1) + "\n}"


def _indented(value: object, by: int) -> str:
    margin = " " * by
    return margin + json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + margin)
