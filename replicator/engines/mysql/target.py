"""A MySQL or MariaDB database as a target: its connections, its runner lock and what it is made of."""

from __future__ import annotations

import contextlib
import json

import pymysql
import sqlalchemy as sa

from replicator.engine import Endpoint, Finding
from replicator.engines.mysql import targetchecks
from replicator.engines.mysql.connect import Connection, open_session, query
from replicator.engines.mysql.fence import MysqlLedger
from replicator.engines.mysql.lock import RunnerLock
from replicator.engines.mysql.server import Server
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.statements import DIALECT
from replicator.engines.mysql.structure import MysqlStructure
from replicator.engines.mysql.targetfailures import violation
from replicator.engines.mysql.targettypes import TargetTypes
from replicator.engines.mysql.writes import MysqlWrites
from replicator.errors import ReplicatorError
from replicator.sql.applier import SqlApplier


class MysqlTarget:
    structure: MysqlStructure
    applier: SqlApplier
    ledger: MysqlLedger

    def __init__(self, endpoint: Endpoint) -> None:
        self._where = endpoint
        self._session: TargetSession | None = None

    def look(self) -> bool:
        self._attach(writes=False)
        return True

    def held(self, name: str) -> bool:
        assert self._session is not None
        return RunnerLock(self._session, name).held()

    def findings(self) -> list[Finding]:
        return targetchecks.findings(self._session or self._attach(writes=False))

    def same_as(self, identity: str) -> bool:
        """A server has many names: it is told by its own number."""
        with contextlib.closing(Server(self._where)) as server:
            mine, other = json.loads(server.identity()), json.loads(identity)
        return all(mine[part] == other.get(part) for part in ("flavor", "server", "database"))

    def open(self, name: str) -> None:
        """The runner's connection: waits for the lock of stream `name`, which ends with the connection."""
        self.close()
        RunnerLock(self._attach(writes=True), name).acquire()

    def _attach(self, *, writes: bool) -> TargetSession:
        self.close()
        session = self._session = TargetSession(self._where, writes=writes)
        types = TargetTypes(session)
        self.ledger = MysqlLedger(session, self._where)
        self.structure = MysqlStructure(session, self.ledger, types)
        self.applier = SqlApplier(session, self.ledger, DIALECT, types.storage, violation, MysqlWrites(session))
        return session

    def cancel(self) -> None:
        """The statement is killed by another connection: this one is in another thread's hands."""
        if self._session is None:
            return
        with contextlib.suppress(pymysql.err.Error, ReplicatorError, OSError):
            connection: Connection = open_session(self._where)
            try:
                query(connection, f"KILL QUERY {self._session.driver.thread_id()}")
            finally:
                connection.close()

    def forget(self) -> None:
        self.ledger.forget()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(pymysql.err.Error, sa.exc.DBAPIError):
                session.close()
