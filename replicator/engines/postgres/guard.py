"""Can the source still give everything after the saved position? (design rule 6)

PostgreSQL moves a start position that is older than the slot's forward, with a line in its own log only; and a
server that was restored from a backup knows nothing of what came after. So both are compared here first.
"""

from __future__ import annotations

import json
from typing import Any

from psycopg2.extensions import connection as SqlConnection

from replicator.engine import Endpoint
from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import ANEW
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import PositionLost, Refused
from replicator.model.stream import StreamState


def check(connection: SqlConnection, where: Endpoint, state: StreamState, mark: Lsn, now: str) -> None:
    """Raises PositionLost where changes after `mark` are gone, or where nobody can say."""
    _same_history(where, json.loads(state.source), json.loads(now), mark)
    slot = state.identity.slot or state.identity.object_name
    rows = query(
        connection,
        "SELECT plugin, slot_type, database = current_database(), temporary, confirmed_flush_lsn::text, "
        "restart_lsn::text, to_jsonb(s) FROM pg_replication_slots s WHERE slot_name = %s",
        (slot,),
    )
    if not rows:
        raise PositionLost(
            f"replication slot {slot!r} does not exist on {where.shown}; changes since {mark} are lost",
            remedy=ANEW,
        )
    plugin, kind, here, temporary, confirmed, restart, more = rows[0]
    if plugin != "pgoutput" or kind != "logical" or not here or temporary:
        raise PositionLost(f"replication slot {slot!r} is not a logical pgoutput slot of this database", remedy=ANEW)
    if more.get("wal_status") == "lost" or restart is None or confirmed is None:
        raise PositionLost(_invalidated(slot, mark, more), remedy=ANEW)
    if not mark.covers(Lsn.parse(confirmed)):
        raise PositionLost(
            f"replication slot {slot!r} stands at {confirmed}, and the saved position is {mark}: "
            f"changes between {mark} and {confirmed} are gone (was the target restored, or the slot made again?)",
            remedy=ANEW,
        )
    flushed = Lsn.parse(query(connection, "SELECT pg_current_wal_flush_lsn()::text")[0][0])
    if not flushed.covers(mark):
        raise PositionLost(
            f"the source is behind the saved position: its log ends at {flushed}, and we have applied up to {mark} "
            "(was the source restored from a backup?)",
            remedy=ANEW,
        )


def _invalidated(slot: str, mark: Lsn, more: dict[str, Any]) -> str:
    reason = more.get("invalidation_reason")
    setting = {
        None: "max_slot_wal_keep_size",
        "wal_removed": "max_slot_wal_keep_size",
        "idle_timeout": "idle_replication_slot_timeout",
        "wal_level_insufficient": "wal_level",
        "rows_removed": "a conflict on a standby",
    }.get(reason, str(reason))
    return (
        f"can no longer access replication slot {slot!r}: it was invalidated "
        f"({reason or 'wal_removed'}: see {setting}); changes since {mark} are lost"
    )


def same_server(where: Endpoint, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises Refused where the stream belongs to a source with another URL, PositionLost where only the server
    behind the URL is another one."""
    if (then["system"], then["database"]) == (now["system"], now["database"]):
        return
    if then["url"] != now["url"]:
        raise Refused(
            f"this stream belongs to another source: {then['url']}",
            remedy="use another --name for this one",
        )
    raise PositionLost(
        f"the source is another server: {where.shown} has system identifier {now['system']}, and the saved position "
        f"belongs to {then['system']}",
        remedy=ANEW,
    )


def _same_history(where: Endpoint, then: dict[str, Any], now: dict[str, Any], mark: Lsn) -> None:
    if now["timeline"] == then["timeline"]:
        return
    left = _left_timeline(where, then["timeline"], now["timeline"])
    if left is None or not left.covers(mark):
        raise PositionLost(
            f"the source is on timeline {now['timeline']}, which left timeline {then['timeline']} at "
            f"{left or 'an unknown position'}, before the saved position {mark}",
            remedy=ANEW,
        )


def _left_timeline(where: Endpoint, ours: int, current: int) -> Lsn | None:
    """Where the server's history left our timeline; None if it never was on it.

    https://www.postgresql.org/docs/current/protocol-replication.html, TIMELINE_HISTORY: lines of
    "timeline, switchpoint, reason".
    """
    sender = WalSender(where)
    try:
        rows = sender.command(f"TIMELINE_HISTORY {int(current)}")
    finally:
        sender.close()
    for line in (rows[0][1] or "").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == str(ours):
            return Lsn.parse(words[1])
    return None
