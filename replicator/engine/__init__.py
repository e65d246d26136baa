"""What an engine implements, and the only place where a URL becomes code.

An engine is a folder of `replicator.engines` whose `ENGINE` has the shape below. The pipeline knows these protocols
and no engine; nothing outside an engine's folder asks which engine it is.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Protocol

from replicator.engine.facts import (
    ALREADY_MADE,
    Capabilities,
    Endpoint,
    Finding,
    Listing,
    Objects,
    Policies,
    Retention,
)
from replicator.engine.source import Catalog, CopySource, Prepared, Reader, Snapshot, Source
from replicator.engine.target import Applier, Ledger, Structure, Target
from replicator.errors import UsageError
from replicator.model.position import Position
from replicator.model.selection import Places
from replicator.model.stream import Identity

__all__ = [
    "ALREADY_MADE",
    "Applier",
    "Capabilities",
    "Catalog",
    "CopySource",
    "Endpoint",
    "Engine",
    "Finding",
    "Ledger",
    "Listing",
    "Objects",
    "Policies",
    "Prepared",
    "Reader",
    "Retention",
    "Snapshot",
    "Source",
    "Structure",
    "Target",
    "find",
]


class Engine(Protocol):
    schemes: tuple[str, ...]
    capabilities: Capabilities
    places: Places

    def endpoint(self, url: str, password: str | None) -> Endpoint:
        """Check a URL without connecting. Raises UsageError."""
        ...

    def policies(self) -> Mapping[str, frozenset[str]]:
        """The column policies that this engine knows as a target, each with its words."""
        ...

    def copy_source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> CopySource: ...

    def source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        """Only where the engine's capabilities say that it reads a log."""
        ...

    def target(self, endpoint: Endpoint) -> Target: ...

    def removal(self, identity: Identity) -> list[str]:
        """The statements that remove a stream's objects at a source that cannot be reached. Connects to nothing."""
        ...

    def position(self, text: str) -> Position:
        """Read back what `str` wrote."""
        ...


def find(url: str) -> Engine:
    """The engine for a URL's scheme. The folder `replicator/engines` is the registry."""
    scheme = url.partition("://")[0]
    known: list[str] = []
    package = importlib.import_module("replicator.engines")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        engine: Engine = importlib.import_module(f"replicator.engines.{module.name}").ENGINE
        if "://" in url and scheme in engine.schemes:
            return engine
        known += engine.schemes
    raise UsageError(
        f"no engine for {scheme!r}" if "://" in url else "not a URL: it has no scheme",
        remedy="a URL begins with " + ", ".join(f"{name}://" for name in known),
    )
