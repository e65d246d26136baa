"""Can this server be a target? Rights are tried by using them."""

from __future__ import annotations

from collections.abc import Iterator

import pymysql

from replicator.engine import Finding
from replicator.engines.mysql import pooler, versions
from replicator.engines.mysql.names import TRIAL, quote
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.targetfailures import READ_ONLY, number

_DENIED = {1044, 1142, 1227}


def findings(session: TargetSession) -> list[Finding]:
    with session.translated():
        found = [*versions.findings("target", session.flavor, session.version), *_settings(session)]
        return found if any(each.level == "refuse" for each in found) else [*found, *_rights(session)]


def _settings(session: TargetSession) -> Iterator[Finding]:
    ((number_there,),) = session.execute(pooler.NUMBER).fetchall()
    if pooler.told_another(session.driver, int(number_there)):
        yield pooler.at_target()
    if session.setting("log_bin") and session.setting("binlog_format") == "STATEMENT":
        yield Finding(
            "refuse",
            "binlog_format is STATEMENT at the target, with which it takes no writes at our isolation level",
            "SET GLOBAL binlog_format = ROW",
        )
    if session.setting("innodb_flush_log_at_trx_commit") not in (1, 3):
        yield Finding(
            "warn",
            "innodb_flush_log_at_trx_commit is not 1 at the target: a crash of its machine loses commits that the "
            "source was told of",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
        )
    if session.setting("explicit_defaults_for_timestamp") == 0:
        yield Finding(
            "refuse",
            "explicit_defaults_for_timestamp is OFF at the target: TIMESTAMP columns would change by themselves",
            "set explicit_defaults_for_timestamp = ON in its configuration",
        )


def _rights(session: TargetSession) -> Iterator[Finding]:
    """A table is made, written and dropped: where it is refused, this says by what."""
    name = quote(f"{TRIAL}{session.driver.thread_id()}")
    account = session.account
    database = quote(session.database)
    statements = (
        f"CREATE TABLE {name} (a int PRIMARY KEY, b int) ENGINE = InnoDB",
        f"CREATE UNIQUE INDEX b ON {name} (b)",
        f"INSERT INTO {name} VALUES (1, 1)",
        f"UPDATE {name} SET b = 2 WHERE a = 1",
        f"DELETE FROM {name} WHERE a = 1",
    )
    made = False
    try:
        for statement in statements:
            session.execute(statement)
            made = True
    except pymysql.err.Error as error:
        if number(error) in READ_ONLY:
            yield Finding("refuse", "the target is read-only: it takes no writes", "connect to the primary")
            return
        if number(error) not in _DENIED:
            raise
        yield Finding(
            "refuse",
            f"tables cannot be made and written in the target's database: {' '.join(statement.split()[:2])} is denied",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON {database}.* TO {account}",
        )
    finally:
        if made:
            try:
                session.execute(f"DROP TABLE {name}")
            except pymysql.err.Error as error:
                if number(error) not in _DENIED:
                    raise
                yield Finding(
                    "refuse",
                    f"the table {name}, made to try the rights, cannot be dropped",
                    f"GRANT DROP ON {database}.* TO {account}; DROP TABLE {name}",
                )
