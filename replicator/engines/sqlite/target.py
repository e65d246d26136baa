"""An SQLite file as a target: its connection, its runner lock, and its errors."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path

import sqlalchemy as sa

from replicator.engine import Endpoint, Finding
from replicator.engines.sqlite import checks
from replicator.engines.sqlite.connect import uri
from replicator.engines.sqlite.failures import code_of, translate, violation
from replicator.engines.sqlite.lock import RunnerLock
from replicator.engines.sqlite.names import fold
from replicator.engines.sqlite.statements import DIALECT
from replicator.engines.sqlite.structure import SqliteStructure
from replicator.engines.sqlite.types import storage
from replicator.errors import CannotApply
from replicator.sql.applier import SqlApplier
from replicator.sql.connect import Session
from replicator.sql.ledger import SqlLedger

BUSY_TIMEOUT_S = 1.0
"""How long SQLite itself waits for another writer, which nobody can interrupt."""
NOTICE_S = 5.0
log = logging.getLogger("replicator")

PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit that is confirmed to the source must survive a power cut
    "PRAGMA foreign_keys = OFF",  # the source has checked them
    "PRAGMA trusted_schema = OFF",
)


class SqliteTarget:
    structure: SqliteStructure
    applier: SqlApplier
    ledger: SqlLedger

    def __init__(self, endpoint: Endpoint) -> None:
        self.path = Path(endpoint.url.removeprefix("sqlite:///"))
        self._session: Session | None = None
        self._lock: RunnerLock | None = None
        self._files: dict[Path, tuple[int, int]] = {}
        self._cancelled = False

    def look(self) -> bool:
        if not self.path.exists():
            return False
        self._attach(f"file:{uri(self.path)}?mode=ro")
        return True

    def held(self, name: str) -> bool:
        return RunnerLock(self.path, name).held()

    def same_as(self, identity: str) -> bool:
        return False  # the file itself is the endpoint's place

    def forget(self) -> None:
        self.ledger.forget()
        assert self._lock is not None
        self._lock.remove()

    def findings(self) -> list[Finding]:
        found = checks.version() + checks.file(self.path)
        if not found and self._session is None:
            self._attach(":memory:" if not self.path.exists() else f"file:{uri(self.path)}?mode=ro")
        return found

    def open(self, name: str) -> None:
        """The runner's connection: waits for the lock of stream `name`, makes the file, sets the pragmas."""
        self.close()
        self._lock = RunnerLock(self.path, name)
        self._lock.acquire()
        self._attach(f"file:{uri(self.path)}?mode=rwc")
        assert self._session is not None
        with self._session.translated():
            for pragma in PRAGMAS:
                self._session.execute(pragma)
        self._files[self.path] = _number(self.path)

    def _attach(self, database: str) -> None:
        if self._session is not None:
            self._session.close()
        engine = sa.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(
                database, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S, check_same_thread=False
            ),
            poolclass=sa.pool.NullPool,
            hide_parameters=True,
        )

        # The driver's own transaction handling is off (isolation_level None): savepoints and DDL then do what they
        # say. Each transaction takes the write lock at its start, which is what makes it a fence.
        read_only = database == ":memory:" or database.endswith("mode=ro")

        @sa.event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            self._still_the_file()
            if read_only:
                connection.exec_driver_sql("BEGIN")
            else:
                self._begin_writing(connection)

        self._session = Session(engine, translate)
        self.ledger = SqlLedger(self._session, schemas=False, fold=fold)
        self.structure = SqliteStructure(self._session, self.ledger)
        self.applier = SqlApplier(self._session, self.ledger, DIALECT, storage, violation)

    def _begin_writing(self, connection: sa.Connection) -> None:
        """Waits for other writers, since nothing is written yet: a copy that gave up its snapshot for every backup
        that locks the file would never end."""
        assert self._session is not None
        began = time.monotonic()
        said = False
        while True:
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                return
            except sa.exc.OperationalError as error:
                busy = error.orig is not None and (code_of(error.orig) or 0) & 0xFF == sqlite3.SQLITE_BUSY
                waited = time.monotonic() - began
                if not busy or self._cancelled or waited >= self._session.patience_s:
                    raise
                if waited >= NOTICE_S and not said:
                    said = True
                    log.warning("waiting: another process is writing to %s", self.path)

    def _still_the_file(self) -> None:
        """A file that was deleted or replaced still takes writes, into nowhere, and so does its write-ahead log, which
        stands from the first write until the last connection closes."""
        if not self._files:
            return
        log_file = self.path.with_name(f"{self.path.name}-wal")
        if log_file not in self._files and log_file.exists():
            self._files[log_file] = _number(log_file)
        for path, number in self._files.items():
            if _number(path) != number:
                raise CannotApply(
                    f"the file {path} was removed or replaced while it was being written",
                    remedy="put the file back; its own saved position says where to go on",
                )

    def cancel(self) -> None:
        self._cancelled = True
        if self._session is not None:
            self._session.driver.interrupt()

    def close(self) -> None:
        if self._session is not None:
            with contextlib.suppress(sqlite3.Error, sa.exc.DBAPIError):
                self._session.close()
            self._session = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._files.clear()


def _number(path: Path) -> tuple[int, int]:
    """What no other file on this machine has; zeros where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_dev, status.st_ino
