"""dbt with less of what no build of ours needs: half of a small build's CPU went into it. Nothing here changes what a
model is rendered to or what is run; each change names what it leaves out, and that dbt works without."""

from __future__ import annotations

import copy
import dataclasses
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


ALL_THERE: ContextVar[bool] = ContextVar("all_there", default=False)
"""True while dbt runs `in_place` over what a deployment made."""

_NOT_FOR_MODELS = re.compile(r"(^|_)(test|snapshot)(_|$)")


def hurry() -> None:
    """Once a process; more often does no harm."""
    _without_stack_walks()
    _without_unheard_events()
    _with_remembered_type_testers()
    _with_kept_connections()
    _with_remembered_templates()
    _with_remembered_macro_contexts()
    _with_namespaces_laid_out_once()
    _without_graph_summaries()
    _without_looking_for_plugins()
    _with_schemas_named_once()
    _without_what_only_new_tables_need()


def lean(manifest: Manifest) -> Manifest:
    """The part of a parsed project that running models needs: no data tests, unit tests, docs or files of the project,
    and no macros that only these call. Its graph has no edges of tests, and it loads in half the time."""
    manifest.nodes = {name: node for name, node in manifest.nodes.items() if str(node.resource_type) != "test"}
    manifest.macros = {name: macro for name, macro in manifest.macros.items() if not _NOT_FOR_MODELS.search(macro.name)}
    manifest.unit_tests, manifest.docs, manifest.files = {}, {}, {}
    return manifest


def in_place(manifest: Manifest, select: Sequence[str]) -> bool:
    """Whether all that these tags select are tables that rows are written into: none is made anew or dropped."""
    tags = {name.removeprefix("tag:") for name in select if name.startswith("tag:")}
    kinds = {str(node.config.materialized) for node in manifest.nodes.values() if tags.intersection(node.tags)}
    return len(tags) == len(select) and kinds == {"incremental"}


def fresh(manifest: Manifest) -> Manifest:
    """One that a run may write its compiled code and states into: a node of its own for each, the rest shared."""
    nodes = {name: copy.copy(node) for name, node in manifest.nodes.items()}
    for node in nodes.values():
        # what a model's macros and tests write in
        node.depends_on = copy.copy(node.depends_on)
        node.depends_on.macros = list(node.depends_on.macros)
        if hasattr(node.depends_on, "nodes"):
            node.depends_on.nodes = list(node.depends_on.nodes)
        node._event_status = {}
        if str(node.resource_type) == "model":
            node.extra_ctes = []  # type: ignore[misc]
    sources = {name: copy.copy(source) for name, source in manifest.sources.items()}
    return dataclasses.replace(manifest, nodes=nodes, sources=sources)


def _without_stack_walks() -> None:
    """Each start of an adapter walks the call stack for every flag, only to name the flag's owner in a warning. That
    was a third of a build's CPU inside an Airflow task, and nine tenths in a process that has imported much."""
    from dbt_common.behavior_flags import BehaviorFlagRendered

    BehaviorFlagRendered._default_source = staticmethod(lambda: "dbt.adapters")  # type: ignore[method-assign]


def _without_unheard_events() -> None:
    """Every step is told as an event, most of them for a debug log that is not kept; each is made into a message
    before anyone is asked. An eighth of a build's CPU."""
    from dbt.tracking import track_behavior_change_warn
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager

    if getattr(EventManager.fire_event, "only_heard", False):
        return
    every = EventManager.fire_event

    def fire_event(self: Any, e: Any, level: Any = None, *args: Any, **more: Any) -> None:
        # dbt's own listener counts warnings of changed behaviour, and is always there
        heard = any(listener is not track_behavior_change_warn for listener in self.callbacks) or any(
            logger.level is EventLevel.DEBUG for logger in self.loggers
        )
        if not heard and (level or e.level_tag()) is EventLevel.DEBUG:
            return
        every(self, e, level, *args, **more)

    made, found, kept = BaseEvent.__init__, BaseEvent.__getattr__, BaseEvent.__setattr__

    def told_later(self: Any, *args: Any, **told: Any) -> None:
        self.__dict__["_told"] = (args, told)

    def make(self: Any) -> None:
        args, told = self.__dict__.pop("_told", (None, None))
        if told is not None:
            made(self, *args, **told)

    def get(self: Any, key: str) -> Any:
        make(self)
        return self.__dict__[key] if key == "pb_msg" else found(self, key)  # type: ignore[no-untyped-call]

    def keep(self: Any, key: str, value: Any) -> None:
        make(self)
        kept(self, key, value)  # type: ignore[no-untyped-call]

    fire_event.only_heard = True  # type: ignore[attr-defined]
    EventManager.fire_event = fire_event  # type: ignore[method-assign]
    BaseEvent.__init__, BaseEvent.__getattr__, BaseEvent.__setattr__ = told_later, get, keep  # type: ignore[method-assign]


def _with_remembered_type_testers() -> None:
    """A query's column types are guessed by a tester that carries a whole parser of dates; it was made anew for every
    answer of a catalog."""
    from dbt_common.clients import agate_helper

    if hasattr(agate_helper.build_type_tester, "cache_info"):
        return
    remembered = lru_cache(maxsize=256)(agate_helper.build_type_tester)

    def build_type_tester(text_columns: Any, string_null_values: Any = ("null", "")) -> Any:
        return remembered(tuple(text_columns), tuple(string_null_values))

    build_type_tester.cache_info = remembered.cache_info  # type: ignore[attr-defined]
    agate_helper.build_type_tester = build_type_tester


def _with_kept_connections() -> None:
    """A thread's connection is closed after each model and opened for the next, which must log in and learn the
    catalog again. It is kept, as if new, until the build ends: dbt closes what is left then."""
    from dbt.adapters.base.connections import BaseConnectionManager
    from dbt.adapters.contracts.connection import ConnectionState

    if getattr(BaseConnectionManager.release, "keeps", False):
        return
    release = BaseConnectionManager.release

    def keep(self: Any) -> None:
        with self.lock:
            connection = self.get_if_exists()
        if connection is None or connection.state != ConnectionState.OPEN or connection.transaction_open:
            release(self)
            return
        try:
            connection.handle.rollback()
            with connection.handle.cursor() as cursor:
                cursor.execute("discard temporary")
            connection.handle.commit()
        except Exception:
            release(self)

    keep.keeps = True  # type: ignore[attr-defined]
    BaseConnectionManager.release = keep  # type: ignore[method-assign]


def _with_remembered_templates() -> None:
    """A model's text is parsed and compiled as a template at each build; here once a process."""
    from dbt.clients import jinja

    clients: Any = jinja
    if hasattr(clients.get_template, "remembered"):
        return
    made, remembered = clients.get_template, {}

    def get_template(
        string: Any, ctx: Any, node: Any = None, capture_macros: bool = False, native: bool = False
    ) -> Any:
        # capturing is for parsing only, and has the node in it
        if capture_macros or native:
            return made(string, ctx, node, capture_macros, native)
        text = str(string)
        if text not in remembered:
            remembered[text] = made(text, {}, node)
        return remembered[text]  # rendering gives it its context

    get_template.remembered = remembered  # type: ignore[attr-defined]
    clients.get_template = get_template


def _with_remembered_macro_contexts() -> None:
    """What the adapter asks of the database are macros, each with a context of all macros around it, made anew for
    every question; here once a thread and build."""
    from dbt.cli import requires as required

    requires: Any = required
    if hasattr(requires.generate_runtime_macro_context, "makes"):
        return
    make = requires.generate_runtime_macro_context

    def generate_runtime_macro_context(macro: Any, config: Any, manifest: Any, package_name: Any) -> Any:
        made = manifest.__dict__.setdefault("_macro_contexts", {})
        key = (threading.get_ident(), macro.unique_id, package_name)
        if key not in made:
            made[key] = make(macro, config, manifest, package_name)
        return made[key]

    generate_runtime_macro_context.makes = make  # type: ignore[attr-defined]
    requires.generate_runtime_macro_context = generate_runtime_macro_context


def _with_namespaces_laid_out_once() -> None:
    """Which macro a name means is worked out anew for each model, twice, for all macros of dbt; it depends on the
    package alone. A macro is bound to its context at its first call, not at each."""
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder

    lay_out, get_macro = MacroNamespaceBuilder.build_namespace, MacroGenerator.get_macro
    if hasattr(lay_out, "remembers"):
        return

    class Namespace(MacroNamespace):
        """The same with all its names in one."""

        def __init__(self, like: MacroNamespace, of: Callable[[Any], Any]) -> None:
            flat, *parts = (
                _each(names, of)
                for names in (
                    dict(like),
                    like.global_namespace,
                    like.local_namespace,
                    like.global_project_namespace,
                    like.packages,
                )
            )
            super().__init__(*parts)
            self.flat = flat

        def __iter__(self) -> Iterator[str]:
            return iter(self.flat)

        def __getitem__(self, key: str) -> Any:
            return self.flat[key]

    remembered: dict[Any, Any] = {}

    def build_namespace(self: Any, macros_by_package: Any, ctx: Any) -> Any:
        key = (self.root_package, self.search_package, *self.internal_package_names_order)
        size = sum(map(len, macros_by_package.values()))
        of, known, layout = remembered.get(key, (None, 0, None))
        if of is not macros_by_package or known != size:
            layout = Namespace(lay_out(self, macros_by_package, ctx), lambda generator: generator.macro)
            remembered[key] = macros_by_package, size, layout
        bound = {}
        for macros in macros_by_package.values():
            for macro in macros.values():
                # what its initialisers set, one calling the other: there are hundreds, of which a model calls dozens
                generator = MacroGenerator.__new__(MacroGenerator)
                generator.__dict__.update(context=ctx, macro=macro, node=self.node, stack=self.thread_ctx)
                bound[id(macro)] = generator
        return Namespace(layout, lambda macro: bound[id(macro)])

    def once(self: Any) -> Any:
        if self.__dict__.get("_bound") is None:
            self._bound = get_macro(self)
        return self._bound

    build_namespace.remembers = True  # type: ignore[attr-defined]
    MacroNamespaceBuilder.build_namespace = build_namespace  # type: ignore[method-assign]
    MacroGenerator.get_macro = once  # type: ignore[method-assign]


def _each(names: Any, of: Callable[[Any], Any]) -> Any:
    return {name: _each(found, of) if isinstance(found, dict) else of(found) for name, found in names.items()}


def _without_graph_summaries() -> None:
    """A build looks for cycles in the project's graph, of which the same one has none next time, and writes a file
    about it."""
    from dbt.compilation import Linker

    if hasattr(Linker.find_cycles, "seen"):
        return
    find, seen = Linker.find_cycles, set[int]()

    def find_cycles(self: Any) -> Any:
        edges = hash(frozenset(self.graph.edges))
        found = None if edges in seen else find(self)  # type: ignore[no-untyped-call]
        if found is None:
            seen.add(edges)
        return found

    find_cycles.seen = seen  # type: ignore[attr-defined]
    Linker.find_cycles = find_cycles  # type: ignore[method-assign]
    Linker.get_graph_summary = lambda self, manifest: {}  # type: ignore[method-assign]


def _without_looking_for_plugins() -> None:
    """Each build lists every module that is installed, to find dbt's plugins; they stay what they are."""
    from dbt.plugins.manager import PluginManager

    if not hasattr(PluginManager.get_prefixed_modules, "cache_info"):
        PluginManager.get_prefixed_modules = lru_cache(maxsize=1)(PluginManager.get_prefixed_modules)  # type: ignore


def _with_schemas_named_once() -> None:
    """The schemas of all models are found by naming each model's relation; there are seven of them."""
    from dbt.adapters.base.impl import BaseAdapter

    if hasattr(BaseAdapter._get_cache_schemas, "of_each"):
        return
    of_each = BaseAdapter._get_cache_schemas

    def _get_cache_schemas(self: Any, relation_configs: Any) -> Any:
        return of_each(self, {(one.database, one.schema): one for one in relation_configs}.values())

    _get_cache_schemas.of_each = of_each  # type: ignore[attr-defined]
    BaseAdapter._get_cache_schemas = _get_cache_schemas  # type: ignore[method-assign]


def _without_what_only_new_tables_need() -> None:
    """Schemas are listed to make those that are missing, and what depends on what, to know what a dropped relation
    takes with it."""
    from dbt.adapters.postgres.impl import PostgresAdapter
    from dbt.task.runnable import GraphRunnableTask

    if hasattr(GraphRunnableTask.create_schemas, "unless_there"):
        return

    def unless_all_there(does: Any) -> Any:
        def may(*args: Any) -> None:
            if not ALL_THERE.get():
                does(*args)

        may.unless_there = True  # type: ignore[attr-defined]
        return may

    GraphRunnableTask.create_schemas = unless_all_there(GraphRunnableTask.create_schemas)  # type: ignore[method-assign]
    PostgresAdapter._link_cached_relations = unless_all_there(PostgresAdapter._link_cached_relations)  # type: ignore
