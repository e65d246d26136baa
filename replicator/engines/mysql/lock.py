"""A stream's runner: a named lock of its session (https://dev.mysql.com/doc/refman/9.7/en/locking-functions.html).

DDL commits by itself here, and with it the fence's row is let go. What is made is made by the session that has this
lock, and a second run claims nothing while that session lives: so no run makes a table beside another.
"""

from __future__ import annotations

from hashlib import blake2b

from replicator.engines.mysql.session import LOCK_PATIENCE_S, TargetSession
from replicator.sql.runner import Holder, SessionLock

QUIET_S = 10
"""A runner says something at least every five seconds: one that has been quiet for longer may be frozen."""
_SESSION = "SELECT USER, HOST, TIME, COMMAND FROM information_schema.PROCESSLIST WHERE ID = %s"


class RunnerLock(SessionLock):
    def __init__(self, session: TargetSession, stream: str) -> None:
        super().__init__(stream, LOCK_PATIENCE_S)
        self._session = session
        # The names are the whole server's, of at most 64 characters, and without regard to case.
        self._name = "replicator-" + blake2b(f"{session.database}\0{stream}".encode(), digest_size=16).hexdigest()

    def _try(self) -> bool:
        with self._session.translated():
            ((taken,),) = self._session.execute("SELECT GET_LOCK(%s, 0)", (self._name,)).fetchall()
        return bool(taken == 1)

    def _holder(self) -> Holder | None:
        with self._session.translated():
            ((holder,),) = self._session.execute("SELECT IS_USED_LOCK(%s)", (self._name,)).fetchall()
            if holder is None:
                return None
            rows = self._session.execute(_SESSION, (holder,)).fetchall()
        quiet = any(command == "Sleep" and seconds >= QUIET_S for _, _, seconds, command in rows)
        return Holder(shown(holder, *rows[0][:3]) if rows else f"session {holder}", quiet, f"KILL {holder}")


def shown(number: int, user: str, host: str, seconds: int) -> str:
    return f"session {number} ({user} from {host}, in its present state for {seconds} s)"
