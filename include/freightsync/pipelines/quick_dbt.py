"""dbt with less of what no build of ours needs: half of a small build's CPU went into it. Nothing here changes what a
model is rendered to or what is run; each change names what it leaves out, and that dbt works without."""

from __future__ import annotations

import copy
import dataclasses
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest


_NOT_FOR_MODELS = re.compile(r"(^|_)(test|snapshot)(_|$)")


def hurry() -> None:
    """Once a process; more often does no harm."""
    _without_stack_walks()
    _without_unheard_events()
    _with_remembered_type_testers()


def lean(manifest: Manifest) -> Manifest:
    """The part of a parsed project that running models needs: no data tests, unit tests, docs or files of the project,
    and no macros that only these call. Its graph has no edges of tests, and it loads in half the time."""
    manifest.nodes = {name: node for name, node in manifest.nodes.items() if str(node.resource_type) != "test"}
    manifest.macros = {name: macro for name, macro in manifest.macros.items() if not _NOT_FOR_MODELS.search(macro.name)}
    manifest.unit_tests, manifest.docs, manifest.files = {}, {}, {}
    return manifest


def fresh(manifest: Manifest) -> Manifest:
    """One that a run may write its compiled code and states into: a node of its own for each, the rest shared."""
    nodes = {name: copy.copy(node) for name, node in manifest.nodes.items()}
    for node in nodes.values():
        node.depends_on = copy.deepcopy(node.depends_on)
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
    from dbt_common.events.base_types import BaseEvent, EventLevel
    from dbt_common.events.event_manager import EventManager

    if getattr(EventManager.fire_event, "only_heard", False):
        return
    every = EventManager.fire_event

    def fire_event(self: Any, e: Any, level: Any = None, *args: Any, **more: Any) -> None:
        heard = self.callbacks or any(logger.level is EventLevel.DEBUG for logger in self.loggers)
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
