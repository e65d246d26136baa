"""The ledger in tables `_replicator_*`; a claim that waits for another session says for which."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import pymysql

from replicator.engine import Endpoint, Objects
from replicator.engines.mysql.connect import Connection, open_session, query
from replicator.engines.mysql.lock import shown
from replicator.engines.mysql.names import fold
from replicator.engines.mysql.session import LOCK_PATIENCE_S, TargetSession
from replicator.engines.mysql.targetfailures import LOCK_TIMEOUT, MADE_MEANWHILE, number
from replicator.errors import Fenced, ReplicatorError, Retryable
from replicator.model.schema import Name
from replicator.model.stream import StreamPhase, StreamState
from replicator.sql.ledger import SqlLedger
from replicator.sql.waiting import saying_who_holds


class MysqlLedger(SqlLedger):
    def __init__(self, session: TargetSession, where: Endpoint) -> None:
        super().__init__(session, schemas=False, fold=fold, collation=session.flavor.exact_collation)
        self._where = where
        self._blocked = session.flavor.blockers

    def claim(
        self,
        name: str,
        source: str,
        objects: Objects,
        leave: Collection[Name],
        first: StreamPhase = "preparing",
        held: int | None = None,
    ) -> StreamState:
        mine, found = self._session.driver.thread_id(), []
        try:
            with saying_who_holds(lambda: self._blockers(mine)) as found:
                return super().claim(name, source, objects, leave, first, held)
        except ReplicatorError as error:
            code = number(error.__cause__) or number(getattr(error.__cause__, "orig", None))
            if code == LOCK_TIMEOUT:
                raise Fenced(
                    f"stream {name!r} is held by {'; '.join(found) or 'another session'}, for over {LOCK_PATIENCE_S} s",
                    remedy="end that session: KILL, with its number",
                ) from error
            if code in MADE_MEANWHILE:
                raise Retryable("another run has made the bookkeeping tables at this moment") from error
            raise

    def _blockers(self, mine: int) -> list[str]:
        """Nobody, where we may not ask."""
        with suppress(pymysql.err.Error, ReplicatorError):
            connection: Connection = open_session(self._where)
            try:
                return [shown(*row) for row in query(connection, self._blocked, (mine,))]
            finally:
                connection.close()
        return []
