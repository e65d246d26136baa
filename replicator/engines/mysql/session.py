"""The connection to a target: its settings are set before each transaction, so that a pooler cannot lose them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import pymysql
import sqlalchemy as sa

from replicator.engine import Endpoint
from replicator.engines.mysql import flavor
from replicator.engines.mysql.connect import open_session
from replicator.engines.mysql.flavor import Flavor, Version
from replicator.engines.mysql.loading import LoadingConnection
from replicator.engines.mysql.targetfailures import translate
from replicator.sql.connect import Session
from replicator.sql.statements import text_literal

LOCK_PATIENCE_S = 90
"""How long a transaction waits for a lock of somebody else. A claim then gives up, anything else tries again."""
IDLE_LIMIT_S = 60
"""The server ends a session that stands this long inside a transaction: that of a frozen or vanished process."""
SQL_MODE = (
    "STRICT_ALL_TABLES",
    "NO_AUTO_VALUE_ON_ZERO",  # a zero is a value, not a request for a number
    "NO_BACKSLASH_ESCAPES",  # a quote is escaped by another one alone
    "NO_ENGINE_SUBSTITUTION",
    "ALLOW_INVALID_DATES",  # a date that such a source had is taken as it is
)


class TargetSession(Session):
    """`writes`: its transactions may write."""

    driver: LoadingConnection
    flavor: Flavor
    version: Version

    def __init__(self, where: Endpoint, *, writes: bool) -> None:
        self._writes = writes
        self._resting = True

        def connect() -> LoadingConnection:
            return open_session(where, of=LoadingConnection, target=True)

        engine = sa.create_engine("mysql+pymysql://", creator=connect, poolclass=sa.pool.NullPool, hide_parameters=True)
        super().__init__(engine, translate)
        with self.translated():
            ((text,),) = self.execute("SELECT VERSION()").fetchall()
            self.flavor, self.version = flavor.of(text)

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(self._settings())
            connection.exec_driver_sql(f"START TRANSACTION READ {'WRITE' if self._writes else 'ONLY'}")
            self._resting = False

    def _settings(self) -> str:
        patience = LOCK_PATIENCE_S if self.patience_s else 1
        settings = [
            f"sql_mode = '{','.join(SQL_MODE)}'",
            "time_zone = '+00:00'",
            "foreign_key_checks = 0",  # the source has checked them
            "unique_checks = 1",
            f"{self.flavor.isolation} = 'READ-COMMITTED'",
            f"innodb_lock_wait_timeout = {patience}",
            f"lock_wait_timeout = {patience}",
            f"{self.flavor.idle_limit[0]} = {IDLE_LIMIT_S}",
        ]
        return "SET SESSION " + ", ".join(settings)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with super().transaction() as connection:
            yield connection
        self._rest()

    def commit(self) -> None:
        super().commit()
        self._rest()

    def rollback(self) -> None:
        super().rollback()
        with suppress(Exception):
            self._rest()

    def _rest(self) -> None:
        """Between two transactions a session may stand for long: a source may take its time."""
        resting = self.flavor.idle_limit[1]
        if resting is not None and not self._resting and not self.in_transaction:
            with self.translated():
                self.execute(f"SET SESSION {resting}")
        self._resting = not self.in_transaction

    def execute(self, statement: str, parameters: Any = ()) -> Any:
        """Without parameters a percent sign means nothing."""
        cursor = self.driver.cursor()
        cursor.execute(statement, parameters or None)
        return cursor

    @cached_property
    def keeps_case(self) -> bool:
        """Are table names that differ in case two names?"""
        return int(self.setting("lower_case_table_names")) == 0

    @cached_property
    def database(self) -> str:
        ((name,),) = self.execute("SELECT DATABASE()").fetchall()
        return str(name)

    @property
    def account(self) -> str:
        """The user, as GRANT wants it."""
        ((account,),) = self.execute("SELECT CURRENT_USER()").fetchall()
        user, _, host = str(account).rpartition("@")
        return f"{text_literal(user)}@{text_literal(host)}"

    def setting(self, name: str) -> Any:
        """A global variable of the server; None where it has none of that name."""
        try:
            ((value,),) = self.execute(f"SELECT @@global.{name}").fetchall()
        except pymysql.err.OperationalError as error:
            if error.args[0] != UNKNOWN_VARIABLE:
                raise
            return None
        return value


UNKNOWN_VARIABLE = 1193
