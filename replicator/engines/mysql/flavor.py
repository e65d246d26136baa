"""What differs between MySQL and MariaDB, as two values. Nothing else asks which of them a server is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from replicator.engines.mysql import binlog
from replicator.engines.mysql.gtid import DomainSet, GtidSet
from replicator.errors import Refused

Version = tuple[int, int]
_COMMON_EVENTS = {
    binlog.QUERY,
    binlog.STOP,
    binlog.ROTATE,
    binlog.FORMAT_DESCRIPTION,
    binlog.XID,
    binlog.TABLE_MAP,
    binlog.INCIDENT,
    binlog.HEARTBEAT,
    binlog.XA_PREPARE,
    binlog.PARTIAL_ROWS,
    *binlog.ROWS,
}


@dataclass(frozen=True)
class Flavor:
    """One of the two.

    `oldest`: the first version whose log says enough (`binlog_row_metadata`). `tested`, `known`: versions that this
    program was run on, and major versions whose manuals it follows. `events`: the types of events that are understood;
    any other stops the stream.

    `parse`: the text of a set of GTIDs. `executed`: the expression that has it, of everything committed. `received`:
    of what it has as a replica and not in its log, None where `executed` has that too. `purged`: of what the log no
    longer has, None where the server itself refuses to begin there. `log_status`: where the log
    stands. `replica_status`: what it follows itself, each statement for servers that do not know the one before it.
    `snapshot_status`: the file and offset that an open consistent snapshot belongs to, None where the server does
    not say and a lock is needed. `replica_log`: the setting by which a replica logs what it has received.
    `history`: the expression that names all servers whose transactions it has, each in the form of `origin`.
    `introduction`: what a dump needs to be told first. `full_image`, ...: the names of settings.
    """

    name: str
    oldest: Version
    tested: tuple[Version, ...]
    known: frozenset[int]
    events: frozenset[int]
    parse: Callable[[str], GtidSet | DomainSet]
    executed: str
    received: str | None
    purged: str | None
    log_status: str
    replica_status: tuple[str, ...]
    replicas: tuple[str, ...]
    """What follows it and said so, in the same way."""
    snapshot_status: str | None
    replica_log: str
    history: str
    origin: str
    introduction: tuple[str, ...]
    gtid_mode: str | None
    """The setting that turns GTIDs on, None where they are always there."""
    wide_timestamps: Version | None
    """Since when TIMESTAMP is unsigned in the log, to 2106."""
    cascades_logged: Version | None
    """Since when the rows that a foreign key's action changes are in the log."""
    monitor_right: str
    replica_right: str
    """To see what it follows."""
    dump_right: str
    holders: str
    """The sessions that stand in the way of a lock on all tables."""
    exact_collation: str
    """Of utf8mb4: two texts are equal to it that have the same bytes."""
    own_types: Mapping[str, Version]
    """Types that not every server has, each with the version that brought it."""
    json_is_text: bool
    signed_zero: bool
    """Does it keep -0.0?"""
    isolation: str
    """The setting of the isolation level."""
    idle_limit: tuple[str, str | None]
    """What ends a session that stands still for some seconds: the setting, and the same for when no transaction is
    open; None where it counts in transactions alone."""
    blockers: str
    """The sessions that another one waits for, by its number. Not everybody may ask."""
    row_word: str
    """What stands before each row of VALUES, where that is a table."""
    defaults_as_sql: bool
    """Does the information schema show a column's default as an expression, a text in quotes and an instant in the
    session's time zone? Else as the bare text that its maker wrote, by the time zone of his session."""
    hides_triggers: bool
    """Are triggers shown to those alone who may make them?"""


MYSQL = Flavor(
    name="MySQL",
    oldest=(8, 0),
    tested=((9, 7),),
    known=frozenset((8, 9)),
    events=frozenset(
        _COMMON_EVENTS
        | {
            binlog.ROWS_QUERY,
            binlog.GTID,
            binlog.GTID_TAGGED,
            binlog.ANONYMOUS_GTID,
            binlog.PREVIOUS_GTIDS,
            binlog.TRANSACTION_PAYLOAD,
            binlog.HEARTBEAT_V2,
        }
    ),
    parse=GtidSet.parse,
    executed="@@global.gtid_executed",
    received=None,
    purged="@@global.gtid_purged",
    log_status="SHOW BINARY LOG STATUS",
    replica_status=("SHOW REPLICA STATUS", "SHOW SLAVE STATUS"),
    replicas=("SHOW REPLICAS", "SHOW SLAVE HOSTS"),
    snapshot_status=None,
    replica_log="log_replica_updates",
    history="@@global.gtid_executed",
    origin="{server}:",
    introduction=(),
    gtid_mode="gtid_mode",
    wide_timestamps=None,
    cascades_logged=(9, 6),
    monitor_right="REPLICATION CLIENT",
    replica_right="REPLICATION CLIENT",
    dump_right="REPLICATION SLAVE",
    holders="SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, UTC_TIMESTAMP()) "
    "FROM information_schema.innodb_trx ORDER BY trx_started",
    exact_collation="utf8mb4_0900_bin",
    own_types={"json": (8, 0), "vector": (9, 0), "geomcollection": (8, 0)},
    json_is_text=False,
    signed_zero=True,
    isolation="transaction_isolation",
    idle_limit=("wait_timeout", "wait_timeout = 86400"),
    blockers="SELECT b.PROCESSLIST_ID, b.PROCESSLIST_USER, b.PROCESSLIST_HOST, b.PROCESSLIST_TIME "
    "FROM performance_schema.data_lock_waits w JOIN performance_schema.threads b ON b.THREAD_ID = w.BLOCKING_THREAD_ID "
    "JOIN performance_schema.threads r ON r.THREAD_ID = w.REQUESTING_THREAD_ID WHERE r.PROCESSLIST_ID = %s",
    row_word="ROW",
    defaults_as_sql=False,
    hides_triggers=True,
)
MARIADB = Flavor(
    name="MariaDB",
    oldest=(10, 5),
    tested=((10, 11),),
    known=frozenset((10, 11, 12)),
    events=frozenset(
        _COMMON_EVENTS
        | {
            binlog.MARIADB_ANNOTATE_ROWS,
            binlog.MARIADB_BINLOG_CHECKPOINT,
            binlog.MARIADB_GTID,
            binlog.MARIADB_GTID_LIST,
            binlog.MARIADB_QUERY_COMPRESSED,
            *binlog.COMPRESSED_ROWS,
        }
    ),
    parse=DomainSet.parse,
    executed="@@global.gtid_binlog_pos",
    received="@@global.gtid_slave_pos",
    purged=None,
    log_status="SHOW MASTER STATUS",
    replica_status=("SHOW ALL SLAVES STATUS",),
    replicas=("SHOW SLAVE HOSTS",),
    snapshot_status="SHOW STATUS WHERE Variable_name IN ('binlog_snapshot_file', 'binlog_snapshot_position')",
    replica_log="log_slave_updates",
    history="@@global.gtid_binlog_state",
    origin="-{number}-",
    introduction=("SET @mariadb_slave_capability = 4",),
    gtid_mode=None,
    wide_timestamps=(11, 5),
    cascades_logged=None,
    monitor_right="BINLOG MONITOR",
    replica_right="SLAVE MONITOR",
    dump_right="REPLICATION SLAVE",
    holders="SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) "
    "FROM information_schema.innodb_trx ORDER BY trx_started",
    exact_collation="utf8mb4_nopad_bin",
    own_types={"inet4": (10, 10), "inet6": (10, 5), "uuid": (10, 7), "vector": (11, 7)},
    json_is_text=True,
    signed_zero=False,
    isolation="tx_isolation",
    idle_limit=("idle_transaction_timeout", None),
    blockers="SELECT p.ID, p.USER, p.HOST, p.TIME FROM information_schema.INNODB_LOCK_WAITS w "
    "JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id "
    "JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id "
    "JOIN information_schema.PROCESSLIST p ON p.ID = b.trx_mysql_thread_id WHERE r.trx_mysql_thread_id = %s",
    row_word="",
    defaults_as_sql=True,
    hides_triggers=False,
)
_VERSION = re.compile(r"(\d+)\.(\d+)")


def of(version: str) -> tuple[Flavor, Version]:
    """By the text of `SELECT VERSION()`. Raises Refused for one that cannot be read."""
    match = _VERSION.search(version.removeprefix("5.5.5-"))
    if match is None:
        raise Refused(f"the source says that its version is {version!r}: it is neither MySQL nor MariaDB")
    return (MARIADB if "mariadb" in version.lower() else MYSQL), (int(match[1]), int(match[2]))
