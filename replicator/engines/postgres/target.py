"""A PostgreSQL database as a target: its connections, its runner lock and what it is made of."""

from __future__ import annotations

import contextlib
import json

import psycopg2
import sqlalchemy as sa

from replicator.engine import Endpoint, Finding
from replicator.engines.postgres import targetchecks
from replicator.engines.postgres.failures import violation
from replicator.engines.postgres.fence import PostgresLedger
from replicator.engines.postgres.lock import RunnerLock
from replicator.engines.postgres.session import TargetSession
from replicator.engines.postgres.statements import DIALECT
from replicator.engines.postgres.structure import PostgresStructure
from replicator.engines.postgres.targettypes import TargetTypes
from replicator.engines.postgres.writes import PostgresWrites
from replicator.sql.applier import SqlApplier


class PostgresTarget:
    structure: PostgresStructure
    applier: SqlApplier
    ledger: PostgresLedger

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
        session = self._session or self._attach(writes=False)
        return targetchecks.findings(session)

    def same_as(self, identity: str) -> bool:
        """A server has many names: it is told by its own number."""
        assert self._session is not None
        with self._session.reading():
            ((system, database),) = self._session.execute(
                "SELECT system_identifier::text, current_database() FROM pg_catalog.pg_control_system()"
            ).fetchall()
        other = json.loads(identity)
        return (other.get("system"), other.get("database")) == (system, database)

    def open(self, name: str) -> None:
        """The runner's connection: waits for the lock of stream `name`, which ends with the connection."""
        self.close()
        RunnerLock(self._attach(writes=True), name).acquire()

    def _attach(self, *, writes: bool) -> TargetSession:
        self.close()
        session = self._session = TargetSession(self._where, writes=writes)
        types = TargetTypes(session)
        self.ledger = PostgresLedger(session, self._where)
        self.structure = PostgresStructure(session, self.ledger, types)
        self.applier = SqlApplier(session, self.ledger, DIALECT, types.storage, violation, PostgresWrites(session))
        return session

    def cancel(self) -> None:
        if self._session is not None:
            with contextlib.suppress(psycopg2.Error):
                self._session.driver.cancel()

    def forget(self) -> None:
        self.ledger.forget()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(psycopg2.Error, sa.exc.DBAPIError):
                session.close()
