"""A MySQL or MariaDB database as a target: its connections, its runner lock and what it is made of."""

from __future__ import annotations

import contextlib
import json

import pymysql

from replicator.engine import Finding
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
from replicator.sql.target import ServerTarget


class MysqlTarget(ServerTarget[TargetSession]):
    structure: MysqlStructure
    applier: SqlApplier
    ledger: MysqlLedger
    driver_error = pymysql.err.Error

    def _connect(self, *, writes: bool) -> TargetSession:
        return TargetSession(self._where, writes=writes)

    def _equip(self, session: TargetSession) -> None:
        types = TargetTypes(session)
        self.ledger = MysqlLedger(session, self._where)
        self.structure = MysqlStructure(session, self.ledger, types)
        self.applier = SqlApplier(session, self.ledger, DIALECT, types.storage, violation, MysqlWrites(session))

    def _lock(self, session: TargetSession, name: str) -> RunnerLock:
        return RunnerLock(session, name)

    def _findings(self, session: TargetSession) -> list[Finding]:
        return targetchecks.findings(session)

    def same_as(self, identity: str) -> bool:
        """A server has many names: it is told by its own number."""
        with contextlib.closing(Server(self._where)) as server:
            mine, other = json.loads(server.identity()), json.loads(identity)
        return all(mine[part] == other.get(part) for part in ("flavor", "server", "database"))

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
