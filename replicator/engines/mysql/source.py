"""MySQL and MariaDB as a source: the binary log, its snapshots, and the guard over the saved position.

Nothing is made at the source: a server keeps its log by time, and knows nothing of who reads it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence

from replicator.engine import Endpoint, Finding, Objects, Prepared, Retention
from replicator.engines.mysql import checks, consistent, guard, retention
from replicator.engines.mysql.catalog import MysqlCatalog
from replicator.engines.mysql.dump import Replica
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.reader import MysqlReader
from replicator.engines.mysql.server import Server
from replicator.engines.mysql.snapshot import MysqlSnapshot
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed, Identity, StreamState


class MysqlSource:
    def __init__(self, where: Endpoint, announce: Callable[[str], None]) -> None:
        self._where = where
        self._announce = announce
        self._server = Server(where)
        self._tables: list[Table] = []
        self._gtids: bool | None = None
        self.catalog = MysqlCatalog(
            self._server.control, self._server.database, defaults_as_sql=self._server.flavor.defaults_as_sql
        )

    # Before anything is made

    def copy_findings(self, tables: Sequence[Table]) -> list[Finding]:
        return checks.copy_findings(self._server, tables)

    def findings(self, tables: Sequence[Followed], objects: Objects) -> list[Finding]:
        return checks.findings(self._server, tables, objects)

    def identity(self) -> str:
        return self._server.identity()

    def recognise(self, identity: str) -> None:
        guard.same_server(self._server, json.loads(identity), json.loads(self.identity()))

    # The stream

    def prepare(self, identity: Identity, tables: Sequence[Followed]) -> Prepared:
        self.follow(identity, tables)
        snapshot = self.snapshot()
        assert snapshot.position is not None
        return Prepared(snapshot.position, snapshot)

    def follow(self, identity: Identity, tables: Sequence[Followed]) -> None:
        """The log carries all tables; these are those that a later snapshot may have to lock."""
        self._tables = [followed.table for followed in tables if followed.phase != "left"]

    def carried(self, identity: Identity) -> Mapping[Name, str]:
        """Every table of the log is in it, and nothing can take one out: the token is always the same."""
        return {table.name: "log" for table in self._tables}

    def guard(self, state: StreamState, mark: Position) -> None:
        assert isinstance(mark, BinlogPosition)
        self._gtids = not isinstance(mark.executed, int)
        guard.check(self._server, state.source, mark)
        checks.refuse_number(self._server, replica(state.identity).number)
        checks.refuse_silence(self._server, [followed.table for followed in state.tables.values()])

    def view(self) -> MysqlSnapshot:
        return MysqlSnapshot.without_position(self._where)

    def snapshot(self) -> MysqlSnapshot:
        checks.refuse_prepared(self._server)
        opened = consistent.snapshot(self._server, self._tables, self._announce)
        try:
            checks.refuse_prepared(self._server)
        except BaseException:
            opened.close()
            raise
        assert opened.position is not None
        self._gtids = not isinstance(opened.position.executed, int)
        return opened

    def reader(self, identity: Identity, limits: Limits) -> MysqlReader:
        return MysqlReader(self._server, replica(identity), limits)

    # Where the log stands

    def head(self) -> BinlogPosition:
        if self._gtids is None:
            self._gtids = self._server.has_gtids()
        return self._server.head(gtids=self._gtids)

    def retention(self, identity: Identity, mark: Position) -> Retention:
        assert isinstance(mark, BinlogPosition)
        return retention.retention(self._server, mark)

    def give_up(self, identity: Identity) -> None:
        """The server keeps nothing for the stream."""

    def drop(self, identity: Identity) -> list[str]:
        return []

    def strays(self, name: str) -> list[str]:
        return []

    def close(self) -> None:
        self._server.close()


def replica(identity: Identity) -> Replica:
    """A replica's number, which no other replica of the server may have: of the stream's random number, and large,
    since people choose small ones."""
    return Replica(int(identity.uid[:8], 16) | 0x80000000, str(uuid.UUID(identity.uid)))
