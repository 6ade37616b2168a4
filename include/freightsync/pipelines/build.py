"""dbt in this process: parsed once at deployment, run per consumer with a target and log directory of its own.

Measured on two cores: importing dbt 1.6-2 s, parsing the project 3-5 s, one model with a reused manifest 0.22 s. So the
manifest is parsed when the code changes (`prepare`), kept as a file named after the content of `dbt/`, and loaded by
every build.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freightsync.domain.errors import PermanentError, TransientError
from freightsync.pipelines import quick_dbt
from freightsync.pipelines.locks import held
from freightsync.pipelines.table import PIPELINES
from freightsync.settings import Settings
from freightsync.warehouse import statistics
from freightsync.warehouse.connection import connect

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

log = logging.getLogger(__name__)

FULL = "full"
"""Directory name of builds that belong to no consumer (deployment, reports)."""

SIZES: dict[str, int] = {}
"""Overrides of the sizes among dbt_project.yml's vars, from which on statements take another shape."""

_BUILT = frozenset({"success", "pass", "no-op"})
_PROJECT_FILES = (".sql", ".yml", ".yaml", ".csv", ".py", ".md")


@dataclass(frozen=True)
class Node:
    """One thing that dbt ran: its unique id, its verdict in dbt's words and its wall-clock seconds."""

    name: str
    status: str
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Built:
    """What one build did."""

    selector: str
    seconds: float
    nodes: tuple[Node, ...] = field(default=())

    def slowest(self, count: int = 5) -> tuple[Node, ...]:
        return tuple(sorted(self.nodes, key=lambda node: -node.seconds)[:count])

    def words(self) -> str:
        slow = ", ".join(f"{node.name.rsplit('.', 1)[-1]} {node.seconds:.2f}s" for node in self.slowest(3))
        return f"built {len(self.nodes)} nodes of {self.selector} in {self.seconds:.1f}s (slowest: {slow})"


def run_dbt(
    command: str,
    select: Sequence[str],
    settings: Settings,
    *,
    run_id: str = "",
    as_of: datetime | None = None,
    directory: str = FULL,
    exclude_types: Sequence[str] = ("unit_test", "test"),
    full_refresh: bool = False,
    threads: int = 2,
    any_match: bool = False,
) -> Built:
    """Runs `dbt <command>` over `select` (empty: everything) in this process: `run` for models, the quickest; `build`
    for seeds and, unless excluded, tests with them; `test`.

    `run_id` and `as_of` become the variables of the same names: the models then work on what that run claimed; with
    neither they work on everything. Raises PermanentError if nothing matched the selection (unless `any_match`) or a
    node failed, naming the node and dbt's message; TransientError where the database went away meanwhile.
    """
    from dbt.cli.main import dbtRunner

    quick_dbt.hurry()
    variables: dict[str, str | int] = {**SIZES}
    if run_id:
        variables["run_id"] = run_id
    if as_of is not None:
        variables["as_of"] = as_of.isoformat()
    arguments = [*_arguments(command, settings, directory), f"--threads={threads}", f"--vars={json.dumps(variables)}"]
    if select:
        arguments += ["--select", *select]
    if exclude_types and command == "build":
        arguments += [f"--exclude-resource-type={kind}" for kind in exclude_types]
    if full_refresh:
        arguments.append("--full-refresh")
    models_only = command == "run"
    if models_only:
        # what is there is asked for the schemas of these models. Before they run: two that ask while a third is renamed
        # into its place would take it for lost
        arguments.append("--cache-selected-only")

    started = time.monotonic()
    if command in ("build", "run"):
        statistics.refresh(settings.dsn("dbt"))
    manifest = load_manifest(settings, models_only=models_only)
    all_there = quick_dbt.ALL_THERE.set(bool(run_id) and models_only and quick_dbt.in_place(manifest, select))
    try:
        with _environment(settings):
            outcome = dbtRunner(manifest=manifest).invoke(arguments)
    finally:
        quick_dbt.ALL_THERE.reset(all_there)
    nodes = tuple(_nodes(outcome.result))
    selector = " ".join(select) or "everything"
    built = Built(selector=selector, seconds=time.monotonic() - started, nodes=nodes)
    failed = [node for node in nodes if node.status not in _BUILT]
    if failed:
        raise _failure(failed, selector)
    if outcome.exception is not None or not outcome.success:
        raise _broken(outcome.exception, selector)
    if not nodes and not any_match:
        raise PermanentError(
            f"dbt found nothing to build for `{selector}`; a build that builds nothing must not count as built",
            what_to_do="check the tags of the models in dbt/models against freightsync.pipelines.table",
        )
    return built


def build(consumer: str, run_id: str, as_of: datetime, settings: Settings) -> Built:
    """Builds the models of a consumer for the aggregates that its run claimed.

    The caller marks the run as built and tells downstream consumers: see `freightsync.pipelines.stages`.
    """
    selector = PIPELINES[consumer].selector
    if selector is None:
        return Built(selector="(views)", seconds=0.0)
    return run_dbt("run", [selector], settings, run_id=run_id, as_of=as_of, directory=consumer)


def prepare(settings: Settings, *, full_refresh: bool = False) -> Built:
    """Deployment: parses the project if it changed, and builds everything once, so that every relation exists. Tables
    that an earlier version of a model left in another shape are made anew, with all that reads them.

    Building over what is stored is safe at any time: dbt owns only what can be rebuilt. It waits for runs under way and
    keeps others out meanwhile: from a snapshot older than a run's commit it would take back what that run wrote. Raises
    TransientError where a run does not end in time.
    """
    with contextlib.ExitStack() as stack:
        for consumer in PIPELINES:  # always in this order; a run waits for no consumer's lock while it has one
            stack.enter_context(held(consumer, settings))
        run_dbt("seed", [], settings, full_refresh=full_refresh)
        if not full_refresh:
            outgrown = outgrown_models(settings)
            if outgrown:
                log.info("made anew, for their columns changed: %s", ", ".join(outgrown))
                run_dbt("run", [f"{name}+" for name in outgrown], settings, full_refresh=True)
        return run_dbt("run", [], settings, full_refresh=full_refresh)


def outgrown_models(settings: Settings) -> list[str]:
    """Models that are kept in a table whose columns are not those of their contract, in name or type. Contracts spell
    types as PostgreSQL does."""
    wanted = {
        (node.schema, node.name): {column.name: column.data_type for column in node.columns.values()}
        for node in load_manifest(settings, models_only=True).nodes.values()
        if str(node.resource_type) == "model" and node.config.materialized == "incremental"
    }
    stored: dict[tuple[str, str], dict[str, str]] = {}
    with connect(settings.dsn("dbt"), application_name="deployment") as conn:
        for schema, table, column, kind in conn.execute(
            """
            select home.nspname, relation.relname, kept.attname, format_type(kept.atttypid, kept.atttypmod)
            from pg_namespace as home
            join pg_class as relation on relation.relnamespace = home.oid and relation.relkind = 'r'
            join pg_attribute as kept on kept.attrelid = relation.oid and kept.attnum > 0 and not kept.attisdropped
            where home.nspname = any(%s)
            """,
            [sorted({schema for schema, _ in wanted})],
        ):
            stored.setdefault((schema, table), {})[column] = kind
    return sorted(name for (schema, name), columns in wanted.items() if stored.get((schema, name), columns) != columns)


def warm(settings: Settings) -> None:
    """Uses dbt once in this process without touching the database: later builds here, and in forks, start faster."""
    from dbt.cli.main import dbtRunner
    from dbt_common.clients.jinja import template_cache

    quick_dbt.hurry()
    manifest = load_manifest(settings, models_only=True)
    for macro in manifest.macros.values():
        template_cache.get_node_template(macro)
    with _environment(settings):
        dbtRunner(manifest=manifest).invoke(_arguments("list", settings, "warm"))


def _arguments(command: str, settings: Settings, directory: str) -> list[str]:
    """A quiet dbt command with target and log directories of its own."""
    return [
        "--log-level=none",
        "--log-level-file=info",
        "--no-use-colors",
        "--no-version-check",
        "--no-send-anonymous-usage-stats",
        "--no-write-json",
        "--no-print",
        f"--log-path={_directory(settings.log_directory / 'dbt' / directory)}",
        command,
        f"--project-dir={settings.dbt_project}",
        f"--profiles-dir={settings.dbt_project}",
        f"--target-path={_directory(_work(settings) / directory)}",
    ]


def load_manifest(settings: Settings, *, models_only: bool = False) -> Manifest:
    """The parsed project: from its file if the content of `dbt/` is what was parsed, else parsed now, once, whoever
    asks first. Its flat graph is not made (a fifth of a build's CPU): no macro of ours may read `graph`."""
    fingerprint = _fingerprint(settings.dbt_project)
    whole, models = (_work(settings) / f"{kind}-{fingerprint}.msgpack" for kind in _MANIFESTS)
    if not models.exists():
        with _parse_lock(settings):
            if not models.exists():
                _parse(settings, whole, models)
    manifest = quick_dbt.fresh(_parsed(models)) if models_only else _read(whole)
    _point_at(manifest, settings.dbt_environment()["DBT_DATABASE"])
    return manifest


def _read(path: Path) -> Manifest:
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    manifest: Manifest = Manifest.from_msgpack(path.read_bytes(), decoder=extended_mashumuro_decoder)
    return manifest


# Read once a process, before it forks where it was warmed: a third of a small build's CPU. Nobody may change it.
_parsed = lru_cache(maxsize=1)(_read)


_MANIFESTS = ("manifest", "models")
"""File names of the parsed project: all of it, and what running models needs of it."""


def _point_at(manifest: Manifest, database: str) -> None:
    """A parsed project names its database everywhere; ours has one, which may be the template of the one parsed for."""
    for node in (*manifest.nodes.values(), *manifest.sources.values()):
        parsed = node.database
        if parsed is None or parsed == database:
            continue
        node.database = database
        name = getattr(node, "relation_name", None)
        if name:
            node.relation_name = name.replace(f'"{parsed}".', f'"{database}".', 1)


def _parse(settings: Settings, whole: Path, models: Path) -> None:
    from dbt.cli.main import dbtRunner
    from dbt.parser.manifest import extended_mashumaro_encoder

    target = _directory(_work(settings) / "parse")
    with _environment(settings):
        outcome = dbtRunner().invoke(_arguments("parse", settings, "parse"))
    if not outcome.success:
        raise _broken(outcome.exception, "the project")
    parsed = target / "partial_parse.msgpack"
    lean = quick_dbt.lean(_read(parsed))
    # the one that is looked for comes last
    for path, content in ((whole, parsed.read_bytes()), (models, lean.to_msgpack(extended_mashumaro_encoder))):
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
            handle.write(content)
        os.replace(handle.name, path)
    for kind in _MANIFESTS:
        for old in whole.parent.glob(f"{kind}-*.msgpack"):
            if old not in (whole, models):
                old.unlink(missing_ok=True)


def _fingerprint(project: Path) -> str:
    """Changes with any file of the project: paths, sizes and modification times (reading them all takes 3 ms)."""
    found = []
    for directory, below, names in os.walk(project):
        below[:] = [name for name in below if name != "target"]
        for name in names:
            if name.endswith(_PROJECT_FILES):
                path = os.path.join(directory, name)
                stat = os.stat(path)
                found.append(f"{os.path.relpath(path, project)}|{stat.st_size}|{stat.st_mtime_ns}\n")
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _parse_lock(settings: Settings) -> Iterator[None]:
    with (_directory(_work(settings)) / "parse.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """dbt reads its connection from the environment; it is there only while dbt runs."""
    wanted = settings.dbt_environment()
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _nodes(result: Any) -> Iterable[Node]:
    for found in getattr(result, "results", ()) or ():
        yield Node(
            name=str(found.node.unique_id),
            status=str(getattr(found.status, "value", found.status)),
            seconds=float(found.execution_time),
            message=str(found.message or ""),
        )


def _failure(failed: Sequence[Node], selector: str) -> PermanentError | TransientError:
    broken = [node for node in failed if node.status != "skipped"] or list(failed)
    words = "; ".join(f"{node.name} {node.status}: {' '.join(node.message.split())}" for node in broken[:5])
    if any(_connection_lost(node.message) for node in broken):
        return TransientError(f"dbt lost the database while building {selector}: {words}")
    return PermanentError(
        f"dbt could not build {selector}: {words}",
        what_to_do="mend the model or the data it names, then clear this task; nothing was planned or posted",
    )


def _broken(error: BaseException | None, selector: str) -> PermanentError | TransientError:
    words = " ".join(str(error).split())
    if _connection_lost(words):
        return TransientError(f"dbt could not reach the database for {selector}: {words}")
    return PermanentError(
        f"dbt could not run {selector}: {words}", what_to_do="`freightsync run` shows the same error outside Airflow"
    )


def _connection_lost(words: str) -> bool:
    signs = (
        "could not connect",
        "connection refused",
        "Connection refused",
        "server closed the connection",
        "terminating connection",
        "the database system is",
        "connection already closed",
        "SSL connection has been closed unexpectedly",
        "SSL SYSCALL error",
        "timeout expired",
        "too many clients",
        "remaining connection slots",
        "deadlock detected",
        "could not serialize",
    )
    return any(sign in words for sign in signs)


def _work(settings: Settings) -> Path:
    return settings.home / "dbt"


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
