"""How much log a slot keeps, and for how long PostgreSQL lets it.

https://www.postgresql.org/docs/current/view-pg-replication-slots.html
"""

from __future__ import annotations

import time

from psycopg2.extensions import connection as SqlConnection

from replicator.engine import Retention
from replicator.engines.postgres.connect import answered_in, query
from replicator.errors import Retryable

ANSWER_S = 20.0
RELEASE_S = 15.0
"""How long a walsender may take to notice that its client has gone."""
_SLOT = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, safe_wal_size, wal_status,
       (SELECT setting::bigint << 20 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
       (SELECT setting::float * CASE unit WHEN 'min' THEN 60 ELSE 1 END FROM pg_settings
        WHERE name = 'idle_replication_slot_timeout' AND setting <> '0')
FROM pg_replication_slots WHERE slot_name = %s
"""


def retention(connection: SqlConnection, slot: str) -> Retention:
    """An idle limit counts from the moment when the stream stops."""
    with answered_in(ANSWER_S, connection):
        rows = query(connection, _SLOT, (slot,))
    if not rows:
        return Retention()
    kept, room, status, most, idle = rows[0]
    danger = ""
    if status in ("unreserved", "lost") or (room is not None and room < most / 4):
        danger = (
            f"the slot {slot!r} keeps {_mib(kept)} of log, and is lost after {_mib(room)} more "
            f"(max_slot_wal_keep_size is {_mib(most)}, the slot {status})"
        )
    return Retention(kept, room, idle, danger)


def _mib(size: int | None) -> str:
    return "an unknown size" if size is None else f"{max(size, 0) / (1 << 20):,.0f} MiB"


def give_up(connection: SqlConnection, slot: str) -> None:
    """Drop the slot, once the server has noticed that nobody reads it any more."""
    deadline = time.monotonic() + RELEASE_S
    while True:
        try:
            query(
                connection,
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s",
                (slot,),
            )
            return
        except Retryable:  # 55006: it is still active
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)
