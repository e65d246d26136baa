"""SQLite: a file as a target, and as a source of copies."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from replicator.engine import Capabilities, CopySource, Endpoint, Source, Target
from replicator.engines.sqlite.names import fold
from replicator.errors import UsageError
from replicator.model.position import Position
from replicator.model.selection import Places
from replicator.model.stream import Identity


class Sqlite:
    schemes = ("sqlite",)
    capabilities = Capabilities(reads_log=False, writes=True, transactional_ddl=True, parallel_writers=False)
    places = Places(
        default_schema="main",
        schemas=False,
        name_bytes=None,
        fold=fold,
        reserved=("sqlite_", "_replicator_"),
    )

    def endpoint(self, url: str, password: str | None) -> Endpoint:
        """`sqlite:///file.db` or `sqlite:////absolute/file.db`, and nothing else: no memory, no parameters."""
        path = url.removeprefix("sqlite:///")
        if path == url or not path or path.startswith((":", "file:")) or "?" in path or "\0" in path:
            raise UsageError(f"{url!r} does not name an SQLite file", remedy="sqlite:///file.db, without parameters")
        return Endpoint(url, url, _place(path))

    def policies(self) -> Mapping[str, frozenset[str]]:
        from replicator.engines.sqlite.types import POLICIES

        return POLICIES

    def copy_source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> CopySource:
        from replicator.engines.sqlite.source import SqliteSource

        return SqliteSource(endpoint)

    def removal(self, identity: Identity) -> list[str]:
        return []

    def source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        raise UsageError("SQLite has no log to follow", remedy="use it as the target")

    def target(self, endpoint: Endpoint) -> Target:
        from replicator.engines.sqlite.target import SqliteTarget

        return SqliteTarget(endpoint)

    def position(self, text: str) -> Position:
        raise UsageError("SQLite has no log, and so no positions")


def _place(path: str) -> str:
    """One text for every name of a file, hard links too."""
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return f"{status.st_dev}:{status.st_ino}"


ENGINE = Sqlite()
