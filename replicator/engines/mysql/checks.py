"""Is this server ready to be copied and followed? Nothing is made here; rights are tried by using them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from replicator import remedies
from replicator.engine import Endpoint, Finding, Objects
from replicator.engines.mysql import managed, pooler, versions
from replicator.engines.mysql.connect import query, user
from replicator.engines.mysql.failures import ANEW, translate
from replicator.engines.mysql.managed import Service
from replicator.engines.mysql.names import quote_all, quote_table
from replicator.engines.mysql.retention import DAY_S, EXPIRY, expiry
from replicator.engines.mysql.server import LOG_OFF, Server
from replicator.errors import PositionLost, Refused, ReplicatorError
from replicator.model.schema import Table
from replicator.model.stream import Followed

NO_SUCH_STATEMENT = 1064
NO_LOG = "log_bin is OFF: the source writes no binary log"
_FILTERS = frozenset(
    f"Replicate_{which}_{what}" for which in ("Do", "Ignore", "Wild_Do", "Wild_Ignore") for what in ("DB", "Table")
)
_LOG = (
    "log_bin",
    "binlog_format",
    "binlog_row_metadata",
    "binlog_row_image",
    "binlog_row_value_options",
    "gtid_strict_mode",
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
    found = [
        *versions.findings("source", server.flavor, server.version),
        *pooler.at_source(server),
        *_objects(objects),
        *_log(server),
    ]
    if not any(finding.what == NO_LOG for finding in found):
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


def refuse_silence(server: Server, tables: Sequence[Table]) -> None:
    """Settings by which the log lacks changes without a word: they may have come since the first run.

    Any other that is wrong shows in the log itself. Raises PositionLost; Refused where the user may not see it.
    """
    for finding in (*_as_replica(server), *_filters(server, tables)):
        if finding.level == "refuse":
            raise PositionLost(
                finding.what, remedy=f"{finding.remedy}; what was changed since is in no log, so then {ANEW}"
            )


def _log(server: Server) -> Iterator[Finding]:
    has, service = server.control.variables(*_LOG), managed.service(server)
    if has.get("log_bin") != "ON":
        yield Finding("refuse", NO_LOG, service.switch_on(LOG_OFF))
        return
    yield from _format(has, service)
    if has.get("gtid_strict_mode") == "OFF":
        yield Finding(
            "warn",
            "gtid_strict_mode is OFF: a GTID whose number does not rise in its domain stops the stream",
            service.set("gtid_strict_mode", "ON"),
        )
    try:
        yield from _as_replica(server)
    except Refused as error:
        yield Finding("refuse", error.what, error.remedy)
    seconds = expiry(server)
    if 0 < seconds < DAY_S:
        yield Finding(
            "refuse",
            f"the log is kept for {seconds} s only; a stream that stands longer than that is lost",
            service.set(EXPIRY, str(7 * DAY_S)),
        )


def _format(has: dict[str, str], service: Service) -> Iterator[Finding]:
    wanted = {
        "binlog_format": ("ROW",),
        "binlog_row_metadata": ("FULL",),
        "binlog_row_image": ("FULL", "NOBLOB", "MINIMAL", "FULL_NODUP"),
        "binlog_row_value_options": ("",),
    }
    for name, good in wanted.items():
        value = has.get(name, good[0])
        if value not in good:
            what = f"{name} is {value}, and must be {good[0] or 'empty'}"
            yield Finding("refuse", what, service.set(name, good[0]))
    if has.get("binlog_row_image", "FULL") == "FULL_NODUP":
        what = "binlog_row_image is FULL_NODUP, and must be FULL"
        yield Finding("refuse", what, service.set("binlog_row_image", "FULL"))


def _as_replica(server: Server) -> Iterator[Finding]:
    """What a source that follows others itself does not log, or does not have. Raises Refused where nobody may say."""
    setting = server.flavor.replica_log
    logs_it = server.control.variables(setting).get(setting) != "OFF"
    try:
        followed = _first_known(server, server.flavor.replica_status)
    except Refused:
        if logs_it:
            return
        raise Refused(
            f"{setting} is OFF, and the user may not see whether the source is a replica, whose changes its log would "
            "lack",
            remedy=f"GRANT {server.flavor.replica_right} ON *.* TO {_account(server.where)}; or set {setting} = ON in "
            "its configuration and restart it",
        ) from None
    if followed and not logs_it:
        yield Finding(
            "refuse",
            f"{setting} is OFF on a replica: what it receives is not in its own log",
            f"set {setting} = ON in its configuration and restart it, or follow its source",
        )
    filters = {name: value for each in followed for name, value in each.items() if name in _FILTERS and value}
    if filters:
        listed = ", ".join(f"{name} = {value}" for name, value in sorted(filters.items()))
        yield Finding(
            "warn",
            f"the source is a replica with filters ({listed}): what they leave out is neither in its tables nor in its "
            "log",
            "remove the filters, or follow its source",
        )


def refuse_number(server: Server, number: int) -> None:
    """A replica with the stream's own server_id and the stream would drive each other out for ever.

    Only those are listed that register, which our readers do not. Raises Refused.
    """
    try:
        listed = _first_known(server, server.flavor.replicas)
    except Refused:
        return  # nobody may say: a reader that is driven out says so itself
    for each in listed:
        found = {name.lower(): value for name, value in each.items()}
        if found["server_id"] == number:
            raise Refused(
                f"the server_id {number}, which the stream has of its random number, is in use by a replica of the "
                f"source (host {found.get('host') or 'unknown'})",
                remedy="give that replica another server_id",
            )


def _first_known(server: Server, statements: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the first of these statements that the server knows. Raises Refused without the right."""
    for statement in statements:
        with server.control.connection.cursor(DictCursor) as cursor:
            try:
                cursor.execute(statement)
                return list(cursor.fetchall())
            except pymysql.err.Error as error:
                if error.args[0] != NO_SUCH_STATEMENT:
                    raise translate(error, server.where.shown) from error
    return []


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
        if not refuse_prepared(server):
            yield Finding(
                "note",
                "the user may not see prepared XA transactions: one that is prepared before a copy and committed after "
                "it stops the stream (exit 4)",
                f"GRANT XA_RECOVER_ADMIN ON *.* TO {_account(server.where)}",
            )
    except Refused as error:
        yield Finding("refuse", error.what, error.remedy)


def refuse_prepared(server: Server) -> bool:
    """Rows of a transaction that is prepared and not resolved are in no snapshot, and lie before it in the log.

    MySQL shows these transactions to those with XA_RECOVER_ADMIN only. Without the right, one that is committed later
    stops the stream, since its rows were never seen. True where they are shown. Raises Refused.
    """
    try:
        rows = query(server.control.connection, "XA RECOVER")
    except pymysql.err.Error as error:
        if isinstance(translate(error, server.where.shown), Refused) or error.args[0] == 1401:
            return False
        raise translate(error, server.where.shown) from error
    if rows:
        listed = ", ".join(repr(row[3]) for row in rows)
        raise Refused(
            f"XA transactions are prepared and not resolved: {listed}; their rows would be missed",
            remedy="XA COMMIT or XA ROLLBACK each of them, then start again",
        )
    return True
