"""A stream's runner: a session's advisory lock (https://www.postgresql.org/docs/current/explicit-locking.html)."""

from __future__ import annotations

import zlib
from typing import Any

from replicator.engines.postgres.session import LOCK_PATIENCE_S, TargetSession
from replicator.sql.runner import Holder, SessionLock

_CLASS = zlib.crc32(b"replicator") - (1 << 31)
_HOLDER = """
SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'the server''s own host'),
       coalesce(extract(epoch FROM now() - a.backend_start)::int, 0), a.xact_start IS NOT NULL
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s::int8::oid AND l.objid = %s::int8::oid AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""


class RunnerLock(SessionLock):
    """A holder that stands inside a transaction may be frozen.

    Through a pooler there is no lock: it would stay with a session that serves somebody else next.
    """

    def __init__(self, session: TargetSession, stream: str) -> None:
        super().__init__(stream, LOCK_PATIENCE_S)
        self._session = session
        self._keys = (_CLASS, zlib.crc32(stream.encode()) - (1 << 31))

    def _try(self) -> bool:
        if self._session.pooled:
            return True
        with self._session.transaction():
            ((taken,),) = self._session.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", self._keys).fetchall()
        return bool(taken)

    def _holder(self) -> Holder | None:
        if self._session.pooled:
            return None
        with self._session.transaction():
            unsigned = [key % (1 << 32) for key in self._keys]
            found: tuple[Any, ...] | None = self._session.execute(_HOLDER, unsigned).fetchone()
        if found is None:
            return None
        return Holder(shown(found), frozen=bool(found[4]), end=f"SELECT pg_terminate_backend({found[0]})")


def shown(session: tuple[Any, ...]) -> str:
    pid, application, host, seconds = session[:4]
    return f"the session with pid {pid} ({application or 'no application name'}, from {host}, {seconds} s old)"
