"""Is this server ready to be copied and followed? Nothing is made here; rights are tried by using them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pymysql

from replicator import remedies
from replicator.engine import Endpoint, Finding, Objects
from replicator.engines.mysql import versions
from replicator.engines.mysql.connect import query, user
from replicator.engines.mysql.failures import translate
from replicator.engines.mysql.names import quote_all, quote_table
from replicator.engines.mysql.server import LOG_OFF, Server
from replicator.errors import Refused, ReplicatorError
from replicator.model.schema import Table
from replicator.model.stream import Followed

EXPIRY_S = 24 * 3600
_LOG = (
    "log_bin",
    "binlog_format",
    "binlog_row_metadata",
    "binlog_row_image",
    "binlog_row_value_options",
    "gtid_strict_mode",
    "expire_logs_days",
    "read_only",
)
_ENGINES = """
SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN %s
"""
_CASCADE = re.compile(
    r"^\s*CONSTRAINT `((?:[^`]|``)+)` FOREIGN KEY .* ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|SET DEFAULT)",
    re.MULTILINE,
)
"""In the text of SHOW CREATE TABLE. MariaDB does not show REFERENTIAL_CONSTRAINTS to a user who may only SELECT."""


def findings(server: Server, followed: Sequence[Followed], objects: Objects) -> list[Finding]:
    tables = [each.table for each in followed]
    found = [*versions.findings("source", server.flavor, server.version), *_objects(objects), *_log(server)]
    if all(finding.remedy != LOG_OFF for finding in found):
        found += _rights(server)
    if any(finding.level == "refuse" for finding in found):
        return found  # without a log everything after it would fail, too
    found += _filters(server, tables)
    found += _readable(server, tables)
    found += _engines(server, tables)
    found += _cascades(server, tables)
    found += _prepared(server)
    return found


def copy_findings(server: Server, tables: Sequence[Table]) -> list[Finding]:
    """What a copy without a log needs."""
    return [
        *versions.findings("source", server.flavor, server.version),
        *_readable(server, tables),
        *_engines(server, tables),
    ]


def _objects(objects: Objects) -> Iterator[Finding]:
    for word, value in (("publication", objects.publication),):
        if value is not None:
            yield Finding("refuse", f"{word} = {value!r}: this source has none", f"leave {word} out")


def _log(server: Server) -> Iterator[Finding]:
    has = server.control.variables(*_LOG, server.flavor.replica_log, *server.flavor.expiry)
    if has.get("log_bin") != "ON":
        yield Finding("refuse", "log_bin is OFF: the source writes no binary log", LOG_OFF)
        return
    yield from _format(has)
    if has.get("gtid_strict_mode") == "OFF":
        yield Finding(
            "warn",
            "gtid_strict_mode is OFF: a GTID whose number does not rise in its domain stops the stream",
            "SET GLOBAL gtid_strict_mode = ON",
        )
    if has.get(server.flavor.replica_log) == "OFF" and _is_replica(server):
        yield Finding(
            "refuse",
            f"{server.flavor.replica_log} is OFF on a replica: what it receives is not in its own log",
            f"set {server.flavor.replica_log} = ON in its configuration and restart it, or follow its source",
        )
    seconds = next((int(float(has[name])) for name in server.flavor.expiry if name in has), 0)
    seconds = seconds or int(float(has.get("expire_logs_days") or 0) * EXPIRY_S)
    if 0 < seconds < EXPIRY_S:
        yield Finding(
            "refuse",
            f"the log is kept for {seconds} s only; a stream that stands longer than that is lost",
            f"SET GLOBAL {server.flavor.expiry[0]} = {7 * EXPIRY_S}",
        )


def _format(has: dict[str, str]) -> Iterator[Finding]:
    wanted = {
        "binlog_format": ("ROW",),
        "binlog_row_metadata": ("FULL",),
        "binlog_row_image": ("FULL", "NOBLOB", "MINIMAL", "FULL_NODUP"),
        "binlog_row_value_options": ("",),
    }
    for name, good in wanted.items():
        value = has.get(name, good[0])
        if value not in good:
            shown = good[0] or "''"
            yield Finding(
                "refuse", f"{name} is {value}, and must be {good[0] or 'empty'}", f"SET GLOBAL {name} = {shown}"
            )
    if has.get("binlog_row_image", "FULL") == "FULL_NODUP":
        yield Finding(
            "refuse", "binlog_row_image is FULL_NODUP, and must be FULL", "SET GLOBAL binlog_row_image = FULL"
        )


def _is_replica(server: Server) -> bool:
    for statement in ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS", "SHOW ALL SLAVES STATUS"):
        try:
            return bool(query(server.control.connection, statement))
        except pymysql.err.Error:
            continue
    return False


def _rights(server: Server) -> Iterator[Finding]:
    """Tried by use: to see the state of the log, and to read it."""
    try:
        status = server.status()
        server.files()
    except ReplicatorError as error:
        needed = f"{server.flavor.monitor_right}, {server.flavor.dump_right}"
        yield Finding(
            "refuse",
            f"the state of the log cannot be read: {error.what}",
            f"GRANT {needed} ON *.* TO {_account(server.where)}",
        )
        return
    try:
        server.log_file(status.file)
    except Refused as error:
        yield Finding(
            "refuse",
            f"the log cannot be read: {error.what}",
            f"GRANT {server.flavor.dump_right} ON *.* TO {_account(server.where)}",
        )


def _account(where: Endpoint) -> str:
    return f"'{user(where)}'@'%'"


def _filters(server: Server, tables: Sequence[Table]) -> Iterator[Finding]:
    """binlog_do_db and binlog_ignore_db: the columns of the log's status that name databases."""
    if not (rows := server.control.query(server.status_statement())):
        return
    do, ignore = (set(filter(None, str(rows[0][at] or "").split(","))) for at in (2, 3))
    for schema in sorted({table.name.schema for table in tables}):
        if do and schema not in do:
            yield Finding(
                "refuse",
                f"binlog_do_db leaves the database {schema} out of the log",
                "remove binlog_do_db, and restart",
            )
        if schema in ignore:
            yield Finding(
                "refuse",
                f"binlog_ignore_db leaves the database {schema} out of the log",
                "remove binlog_ignore_db, and restart",
            )


def _readable(server: Server, tables: Sequence[Table]) -> Iterator[Finding]:
    for table in tables:
        columns = quote_all(table.names) or "1"
        try:
            query(server.control.connection, f"SELECT {columns} FROM {quote_table(table.name)} LIMIT 0")
        except pymysql.err.Error as error:
            found = translate(error, server.where.shown)
            if not isinstance(found, Refused):
                raise found from error
            yield Finding(
                "refuse",
                f"{table.name} cannot be read",
                f"GRANT SELECT ON {quote_table(table.name)} TO {_account(server.where)}",
            )


def _engines(server: Server, tables: Sequence[Table]) -> Iterator[Finding]:
    """Only InnoDB has consistent snapshots: of another engine's table a copy and the log cannot meet."""
    if not tables:
        return
    schemas = tuple({table.name.schema for table in tables})
    engines = {(schema, name): engine for schema, name, engine in server.control.query(_ENGINES, (schemas,))}
    for table in tables:
        engine = engines.get(table.name)
        if engine != "InnoDB":
            yield Finding(
                "refuse",
                f"{table.name} is stored by {engine or 'an unknown engine'}, which has no consistent snapshots",
                f"ALTER TABLE {quote_table(table.name)} ENGINE = InnoDB; or --exclude {remedies.shell(table.name)}",
            )


def _cascades(server: Server, tables: Sequence[Table]) -> Iterator[Finding]:
    """What a foreign key changes by itself is in the log since MySQL 9.6 only."""
    logged = server.flavor.cascades_logged
    if logged is not None and server.version >= logged:
        return
    for table in tables:
        ((_, text, *_),) = server.control.query(f"SHOW CREATE TABLE {quote_table(table.name)}")
        for constraint in _CASCADE.findall(text):
            yield Finding(
                "refuse",
                f"{table.name}: the foreign key {constraint} changes rows by itself (CASCADE, SET NULL, SET DEFAULT), "
                f"and the log of {server.shown_version} does not have these changes",
                "make it RESTRICT, and let the application change the rows; or --exclude " + remedies.shell(table.name),
            )


def _prepared(server: Server) -> Iterator[Finding]:
    try:
        refuse_prepared(server)
    except Refused as error:
        yield Finding("refuse", error.what, error.remedy)


def refuse_prepared(server: Server) -> None:
    """Rows of a transaction that is prepared and not resolved are in no snapshot, and lie before it in the log.

    MySQL shows these transactions to those with XA_RECOVER_ADMIN only. Without the right, one that is committed later
    stops the stream, since its rows were never seen. Raises Refused.
    """
    try:
        rows = query(server.control.connection, "XA RECOVER")
    except pymysql.err.Error as error:
        if isinstance(translate(error, server.where.shown), Refused) or error.args[0] == 1401:
            return
        raise translate(error, server.where.shown) from error
    if rows:
        listed = ", ".join(repr(row[3]) for row in rows)
        raise Refused(
            f"XA transactions are prepared and not resolved: {listed}; their rows would be missed",
            remedy="XA COMMIT or XA ROLLBACK each of them, then start again",
        )
