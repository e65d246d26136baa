"""The connection to a target: its settings are set in each transaction, so that a pooler cannot lose them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import psycopg2.extensions
import sqlalchemy as sa

from replicator.engine import Endpoint
from replicator.engines.postgres import pooler
from replicator.engines.postgres.connect import open_session, parameters, unreachable
from replicator.engines.postgres.failures import translate
from replicator.sql.connect import Session

LOCK_PATIENCE_S = 90
"""How long a transaction waits for a lock of somebody else. A claim then gives up, anything else tries again."""
IDLE_LIMIT_S = 60
"""The server ends a session that stands this long inside a transaction: that of a frozen or vanished process."""
SETTINGS = {
    "search_path": "''",
    "row_security": "off",  # policies raise an error: rows would be hidden from us
    "synchronous_commit": "on",  # a commit that is confirmed to the source must survive a crash
    "standard_conforming_strings": "on",
    "client_encoding": "'UTF8'",
    "datestyle": "'ISO'",
    "timezone": "'UTC'",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "'C'",
    "xmloption": "content",
    "jit": "off",
    # A row is found by its key through an index, whatever the statistics of a table that is being filled say.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": f"'{IDLE_LIMIT_S}s'",
}
FOR_US = "session_replication_role = replica"
"""The source has checked its foreign keys, and its triggers have fired (design rule 10)."""


class TargetSession(Session):
    """`writes`: its transactions may write. `as_replica`: the right to `FOR_US` is there."""

    driver: psycopg2.extensions.connection

    def __init__(self, where: Endpoint, *, writes: bool) -> None:
        self.as_replica = False
        self._writes = writes

        def connect() -> psycopg2.extensions.connection:
            try:
                return open_session(parameters(where, session={}))
            except psycopg2.OperationalError as error:
                raise unreachable(where, str(error)) from None

        engine = sa.create_engine(
            "postgresql+psycopg2://", creator=connect, poolclass=sa.pool.NullPool, hide_parameters=True
        )

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql(self._settings(connection))

        super().__init__(engine, translate)
        self.as_replica = self._may_be_replica()

    def _settings(self, connection: sa.Connection) -> str:
        patience = LOCK_PATIENCE_S if self.patience_s else 1
        set_local = [f"SET LOCAL {name} = {value}" for name, value in SETTINGS.items()]
        set_local.append(f"SET LOCAL lock_timeout = '{patience}s'")
        if self.version >= 17:
            set_local.append("SET LOCAL transaction_timeout = 0")
        if self.as_replica:
            set_local.append(f"SET LOCAL {FOR_US}")
        mode = "READ WRITE" if self._writes else "READ ONLY"
        return "; ".join([f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED, {mode}", *set_local])

    def _may_be_replica(self) -> bool:
        """Tried, not asked for."""
        with self.translated(), self.connection.begin() as transaction:
            try:
                self.connection.exec_driver_sql(f"SET LOCAL {FOR_US}")
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "pgcode", None) != "42501":
                    raise
                return False
            finally:
                transaction.rollback()
        return True

    @cached_property
    def pooled(self) -> bool:
        """Is there something between us and the server that may give our transactions to several of its sessions?"""
        with self.transaction():
            ((process,),) = self.execute(pooler.PROCESS).fetchall()
        return pooler.told_another(self.driver, process)

    @property
    def version(self) -> int:
        return int(self.driver.server_version) // 10000

    @contextmanager
    def trial(self) -> Iterator[psycopg2.extensions.cursor]:
        """A transaction in which anything may be tried, since nothing of it stays."""
        writes, self._writes = self._writes, True
        try:
            with self.translated(), self.connection.begin() as transaction, self.driver.cursor() as cursor:
                self._writes = writes
                yield cursor
                transaction.rollback()
        finally:
            self._writes = writes
