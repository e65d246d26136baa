"""The ledger in schema `replicator`; a claim that waits for another session says for which."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import psycopg2

from replicator.engine import Endpoint, Objects
from replicator.engines.postgres.connect import open_session, parameters
from replicator.engines.postgres.failures import LOCK_TIMEOUT
from replicator.engines.postgres.lock import shown
from replicator.engines.postgres.session import LOCK_PATIENCE_S, TargetSession
from replicator.errors import Fenced, ReplicatorError, Retryable
from replicator.model.schema import Name
from replicator.model.stream import StreamPhase, StreamState
from replicator.sql.ledger import SqlLedger
from replicator.sql.waiting import saying_who_holds

_BLOCKERS = """
SELECT b.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'the server''s own host'),
       coalesce(extract(epoch FROM now() - a.backend_start)::int, 0)
FROM unnest(pg_catalog.pg_blocking_pids(%s)) b (pid) LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
"""
_MADE_MEANWHILE = {"23505", "42P06", "42P07"}


class PostgresLedger(SqlLedger):
    def __init__(self, session: TargetSession, where: Endpoint) -> None:
        super().__init__(session, schemas=True)
        self._where = where

    def claim(
        self,
        name: str,
        source: str,
        objects: Objects,
        leave: Collection[Name],
        first: StreamPhase = "preparing",
        held: int | None = None,
    ) -> StreamState:
        pid, found = self._session.driver.info.backend_pid, []
        try:
            with saying_who_holds(lambda: self._blockers(pid)) as found:
                return super().claim(name, source, objects, leave, first, held)
        except ReplicatorError as error:
            code = getattr(error.__cause__, "pgcode", None) or getattr(
                getattr(error.__cause__, "orig", None), "pgcode", None
            )
            if code == LOCK_TIMEOUT:
                raise Fenced(
                    f"stream {name!r} is held by {'; '.join(found) or 'another session'}, for over {LOCK_PATIENCE_S} s",
                    remedy="end that session: SELECT pg_terminate_backend(pid), with its pid",
                ) from error
            if code in _MADE_MEANWHILE:
                raise Retryable("another run has made the bookkeeping tables at this moment") from error
            raise

    def _blockers(self, pid: int) -> list[str]:
        with suppress(psycopg2.Error):
            connection = open_session(parameters(self._where, session={}))
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute(_BLOCKERS, (pid,))
                    return [shown(row) for row in cursor.fetchall()]
            finally:
                connection.close()
        return []
