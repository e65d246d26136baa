"""An SQLite file as a source of copies. It has no log to follow."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from replicator.engine import Endpoint, Finding
from replicator.engines.sqlite import checks
from replicator.engines.sqlite.catalog import SqliteCatalog
from replicator.engines.sqlite.connect import connect, query
from replicator.engines.sqlite.snapshot import SqliteSnapshot
from replicator.errors import CannotApply, Refused
from replicator.model.schema import Table


class SqliteSource:
    def __init__(self, endpoint: Endpoint) -> None:
        """Raises Refused for a file that is not there, is no database, or cannot be read."""
        self._where = endpoint
        self._path = Path(endpoint.url.removeprefix("sqlite:///"))
        for finding in checks.version() + checks.readable(self._path):
            raise Refused(finding.what, remedy=finding.remedy)
        try:
            self._connection = connect(self._path)
        except CannotApply as error:
            raise Refused(error.what, remedy=error.remedy) from error
        self.catalog = SqliteCatalog(self._connection)

    def copy_findings(self, tables: Sequence[Table]) -> list[Finding]:
        """What a read transaction means for writers: https://www.sqlite.org/isolation.html."""
        ((mode,),) = query(self._connection, "PRAGMA journal_mode")
        if mode == "wal":
            return []
        return [
            Finding(
                "warn",
                f"the source file is in rollback-journal mode ({mode}): while a copy reads it, commits of other "
                "programs wait, and fail with SQLITE_BUSY where they do not wait long enough",
                f"in WAL mode they go on: sqlite3 {shlex.quote(str(self._path))} 'PRAGMA journal_mode = WAL'",
            )
        ]

    def identity(self) -> str:
        return json.dumps({"url": self._where.shown, "file": os.path.realpath(self._path)})

    def recognise(self, identity: str) -> None:
        there = json.loads(identity)
        if there.get("file") != os.path.realpath(self._path):
            raise Refused(
                f"this backfill belongs to another source: {there.get('file', there.get('url', 'unknown'))}",
                remedy="use another --name with other target tables, or put the file back where it was",
            )

    def view(self) -> SqliteSnapshot:
        return SqliteSnapshot(connect(self._path))

    def close(self) -> None:
        self._connection.close()
