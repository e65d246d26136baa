"""A server's database as a target: one connection, which looks or runs a stream, and what works through it."""

from __future__ import annotations

import contextlib
from typing import Generic, TypeVar

import sqlalchemy as sa

from replicator.engine import Endpoint, Finding
from replicator.sql.connect import Session
from replicator.sql.ledger import SqlLedger
from replicator.sql.runner import SessionLock

S = TypeVar("S", bound=Session)


class ServerTarget(Generic[S]):
    """`_connect`, `_equip`, `_lock` and `_findings` are the engine's own. `driver_error`: what its driver raises."""

    ledger: SqlLedger
    driver_error: type[Exception]

    def __init__(self, endpoint: Endpoint) -> None:
        self._where = endpoint
        self._session: S | None = None

    def _connect(self, *, writes: bool) -> S:
        raise NotImplementedError

    def _equip(self, session: S) -> None:
        """Makes the ledger, the structure and the applier that use this session."""
        raise NotImplementedError

    def _lock(self, session: S, name: str) -> SessionLock:
        raise NotImplementedError

    def _findings(self, session: S) -> list[Finding]:
        raise NotImplementedError

    def look(self) -> bool:
        self._attach(writes=False)
        return True

    def held(self, name: str) -> bool:
        assert self._session is not None
        return self._lock(self._session, name).held()

    def findings(self) -> list[Finding]:
        return self._findings(self._session or self._attach(writes=False))

    def open(self, name: str) -> None:
        """The runner's connection: waits for the lock of stream `name`, which ends with the connection."""
        self._lock(self._attach(writes=True), name).acquire()

    def _attach(self, *, writes: bool) -> S:
        self.close()
        session = self._session = self._connect(writes=writes)
        self._equip(session)
        return session

    def forget(self) -> None:
        self.ledger.forget()

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(self.driver_error, sa.exc.DBAPIError):
                session.close()
