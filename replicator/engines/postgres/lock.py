"""One runner a stream: a session's advisory lock. The fence in the ledger is what keeps a second runner from harm; this
gives it a friendly message, and ends with the session.

A holder that stands inside a transaction may be frozen: the server ends its session after a while, so it is waited for.
"""

from __future__ import annotations

import logging
import time
import zlib
from typing import Any

from replicator.engines.postgres.session import LOCK_PATIENCE_S, TargetSession
from replicator.errors import Fenced

NOTICE_S = 5.0
GRACE_S = 3.0
"""A process that was killed just now is in the server for a moment more."""
_CLASS = zlib.crc32(b"replicator") - (1 << 31)
_HOLDER = """
SELECT l.pid, coalesce(a.application_name, ''), coalesce(host(a.client_addr), 'the server''s own host'),
       coalesce(extract(epoch FROM now() - a.backend_start)::int, 0), a.xact_start IS NOT NULL
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = %s::int8::oid AND l.objid = %s::int8::oid AND l.objsubid = 2 AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""
log = logging.getLogger("replicator")


class RunnerLock:
    def __init__(self, session: TargetSession, stream: str) -> None:
        self._session = session
        self._stream = stream
        self._keys = (_CLASS, zlib.crc32(stream.encode()) - (1 << 31))

    def acquire(self) -> None:
        """Raises Fenced when a live session runs the stream."""
        began = time.monotonic()
        said = False
        while not self._try():
            holder = self._holder()
            waited = time.monotonic() - began
            if holder is None:
                continue
            if waited >= (LOCK_PATIENCE_S if holder[4] else GRACE_S):
                raise self._running(holder)
            if waited >= NOTICE_S and not said:
                said = True
                log.warning("waiting for %s, which holds stream %r", shown(holder), self._stream)
            time.sleep(0.2)

    def held(self) -> bool:
        """Has a session the lock now? Takes nothing."""
        return self._holder() is not None

    def _try(self) -> bool:
        with self._session.transaction():
            ((taken,),) = self._session.execute("SELECT pg_catalog.pg_try_advisory_lock(%s, %s)", self._keys).fetchall()
        return bool(taken)

    def _holder(self) -> tuple[Any, ...] | None:
        with self._session.transaction():
            unsigned = [key % (1 << 32) for key in self._keys]
            found: tuple[Any, ...] | None = self._session.execute(_HOLDER, unsigned).fetchone()
        return found

    def _running(self, holder: tuple[Any, ...]) -> Fenced:
        return Fenced(
            f"stream {self._stream!r} is already running, by {shown(holder)}",
            remedy="stop that process, or use another --name with other target tables; where its machine is gone: "
            f"SELECT pg_terminate_backend({holder[0]})",
        )


def shown(session: tuple[Any, ...]) -> str:
    pid, application, host, seconds = session[:4]
    return f"the session with pid {pid} ({application or 'no application name'}, from {host}, {seconds} s old)"
