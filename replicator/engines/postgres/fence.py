"""The ledger in schema `replicator`; a claim that waits for another session says for which."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

import psycopg2

from replicator.engine import Endpoint, Objects
from replicator.engines.postgres.connect import open_session, parameters
from replicator.engines.postgres.failures import LOCK_TIMEOUT
from replicator.engines.postgres.lock import NOTICE_S, shown
from replicator.engines.postgres.session import LOCK_PATIENCE_S, TargetSession
from replicator.errors import Fenced, ReplicatorError, Retryable
from replicator.model.schema import Name
from replicator.model.stream import StreamPhase, StreamState
from replicator.sql.ledger import SqlLedger

_BLOCKERS = """
SELECT b.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'the server''s own host'),
       coalesce(extract(epoch FROM now() - a.backend_start)::int, 0)
FROM unnest(pg_catalog.pg_blocking_pids(%s)) b (pid) LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
"""
_MADE_MEANWHILE = {"23505", "42P06", "42P07"}
log = logging.getLogger("replicator")


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
        found: list[str] = []
        try:
            with self._saying_who_holds(found):
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

    @contextmanager
    def _saying_who_holds(self, found: list[str]) -> Iterator[None]:
        pid = self._session.driver.info.backend_pid

        def look() -> None:
            with suppress(psycopg2.Error):
                connection = open_session(parameters(self._where, session={}))
                try:
                    with connection, connection.cursor() as cursor:
                        cursor.execute(_BLOCKERS, (pid,))
                        found.extend(shown(row) for row in cursor.fetchall())
                finally:
                    connection.close()
            if found:
                log.warning("waiting for the stream's row, which is held by %s", "; ".join(found))

        timer = threading.Timer(NOTICE_S, look)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
