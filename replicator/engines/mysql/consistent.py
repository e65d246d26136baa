"""A snapshot and the exact place in the log that it belongs to.

MariaDB says where an open snapshot stands (`binlog_snapshot_...`), and no lock is needed. MySQL does not: InnoDB shows
a transaction before the server lists its GTID, so a set read beside a snapshot may lack what the snapshot has, even
when it is the same before and after. There commits are held back by a lock while the snapshot is opened and the set is
read, a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pymysql

from replicator import failpoints
from replicator.engine import Endpoint
from replicator.engines.mysql.connect import Connection, connect, query, translated
from replicator.engines.mysql.names import quote, quote_table
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.server import Server
from replicator.engines.mysql.snapshot import BEGIN, NOW, MysqlSnapshot
from replicator.errors import Refused, Retryable
from replicator.model.schema import Table

LOCK_WAIT_S = 10
DENIED = {1044, 1142, 1227, 1370}
WAITED_TOO_LONG = 1205


def snapshot(server: Server, tables: Sequence[Table], announce: Callable[[str], None]) -> MysqlSnapshot:
    """Raises Refused where it cannot be exact, Retryable where others hold what must be locked."""
    if server.flavor.snapshot_status is not None:
        opened = _as_the_server_says(server, server.flavor.snapshot_status)
    else:
        opened = _under_a_lock(server, tables, announce)
    failpoints.hit("snapshot_exported")
    return opened


def _as_the_server_says(server: Server, status: str) -> MysqlSnapshot:
    connection = _open(server.where)
    with translated(server.where):
        try:
            found = {str(name).lower(): value for name, value in query(connection, status)}
            file, offset = found["binlog_snapshot_file"], int(found["binlog_snapshot_position"])
            ((text,),) = query(connection, "SELECT BINLOG_GTID_POS(%s, %s)", (file, offset))
            if text is None:
                raise Retryable(f"{server.where.shown}: the log file of the snapshot, {file}, is gone already")
            position = BinlogPosition(server.flavor.parse(text), server.log_file(file))
            return MysqlSnapshot(server.where, connection, position, _as_of(connection))
        except BaseException:
            connection.close()
            raise


def _under_a_lock(server: Server, tables: Sequence[Table], announce: Callable[[str], None]) -> MysqlSnapshot:
    gtids = server.has_gtids()
    lock = connect(server.where)
    try:
        with translated(server.where):
            locked = _lock(lock, server, tables, announce)
            if not locked:
                return _overlapping(server, tables, gtids)
            connection = _open(server.where)
            try:
                position = _position(server, gtids)
                query(lock, "UNLOCK TABLES")
                return MysqlSnapshot(server.where, connection, position, _as_of(connection))
            except BaseException:
                connection.close()
                raise
    finally:
        lock.close()


def _overlapping(server: Server, tables: Sequence[Table], gtids: bool) -> MysqlSnapshot:
    """Without a right to lock: the set that is read first is a floor that the view is never behind, and may be ahead
    of. What comes twice then is found by its key, so every table needs one."""
    keyless = [str(table.name) for table in tables if not table.key]
    if keyless:
        raise Refused(
            f"{', '.join(keyless)}: without a key the copy needs a lock for a moment, and neither FLUSH TABLES WITH "
            "READ LOCK nor LOCK TABLES is allowed",
            remedy=f"GRANT LOCK TABLES ON {quote(server.database)}.* to the source's user, or RELOAD ON *.*; or give "
            "the tables keys",
        )

    def head() -> BinlogPosition:
        return _position(server, gtids)

    floor = head()
    connection = _open(server.where)
    try:
        return MysqlSnapshot(server.where, connection, floor, _as_of(connection), head)
    except BaseException:
        connection.close()
        raise


def _position(server: Server, gtids: bool) -> BinlogPosition:
    """Where the log stands now. File and offset are read at once; beside GTIDs the file may be one that is older."""
    status = server.status()
    return BinlogPosition(server.executed() if gtids else status.offset, server.log_file(status.file))


def _open(where: Endpoint) -> Connection:
    connection = connect(where)
    with translated(where):
        query(connection, BEGIN)
    return connection


def _as_of(connection: Connection) -> str:
    ((text,),) = query(connection, NOW)
    return str(text)


def _lock(lock: Connection, server: Server, tables: Sequence[Table], announce: Callable[[str], None]) -> bool:
    """All tables where the rights allow it, else those that are followed: no commit that touches them comes between.

    False where neither is allowed. Raises Retryable where others hold what must be locked.
    """
    query(lock, f"SET SESSION lock_wait_timeout = {LOCK_WAIT_S}")
    try:
        try:
            query(lock, "FLUSH TABLES WITH READ LOCK")
        except pymysql.err.Error as error:
            if error.args[0] not in DENIED:
                raise
            return _lock_each(lock, tables)
    except pymysql.err.Error as error:
        if error.args[0] != WAITED_TOO_LONG:
            raise
        held = _holders(server)
        announce(f"a lock on the tables waits for running transactions: {held}")
        raise Retryable(
            f"{server.where.shown}: no lock within {LOCK_WAIT_S} s, which a snapshot needs for a moment; in its way: "
            f"{held}"
        ) from error
    return True


def _holders(server: Server) -> str:
    """Who has transactions open, as far as the user may know."""
    try:
        rows = server.control.query(server.flavor.holders)
    except Refused:
        return "unknown (GRANT PROCESS ON *.* to the source's user shows them)"
    return "; ".join(f"connection {pid}, for {age} s" for pid, age in rows) or "unknown"


def _lock_each(lock: Connection, tables: Sequence[Table]) -> bool:
    locks = ", ".join(f"{quote_table(table.name)} READ" for table in tables)
    try:
        if locks:
            query(lock, f"LOCK TABLES {locks}")
    except pymysql.err.Error as error:
        if error.args[0] not in DENIED:
            raise
        return False
    return True
