"""A PostgreSQL database as a target: its connections, its runner lock and what it is made of."""

from __future__ import annotations

import contextlib
import json

import psycopg2

from replicator.engine import Finding
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
from replicator.sql.target import ServerTarget


class PostgresTarget(ServerTarget[TargetSession]):
    structure: PostgresStructure
    applier: SqlApplier
    ledger: PostgresLedger
    driver_error = psycopg2.Error

    def _connect(self, *, writes: bool) -> TargetSession:
        return TargetSession(self._where, writes=writes)

    def _equip(self, session: TargetSession) -> None:
        types = TargetTypes(session)
        self.ledger = PostgresLedger(session, self._where)
        self.structure = PostgresStructure(session, self.ledger, types)
        self.applier = SqlApplier(session, self.ledger, DIALECT, types.storage, violation, PostgresWrites(session))

    def _lock(self, session: TargetSession, name: str) -> RunnerLock:
        return RunnerLock(session, name)

    def _findings(self, session: TargetSession) -> list[Finding]:
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

    def cancel(self) -> None:
        if self._session is not None:
            with contextlib.suppress(psycopg2.Error):
                self._session.driver.cancel()
