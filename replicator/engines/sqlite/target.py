"""An SQLite file as a target: its connection, its runner lock, and its errors."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from replicator.engine import Endpoint, Finding
from replicator.engines.sqlite import checks
from replicator.engines.sqlite.catalog import DIALECT, SqliteStructure
from replicator.engines.sqlite.lock import RunnerLock
from replicator.engines.sqlite.types import storage
from replicator.errors import CannotApply, ReplicatorError, Retryable
from replicator.sql.applier import SqlApplier, Violation
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
        self._file: tuple[int, int] | None = None
        self._cancelled = False

    def findings(self) -> list[Finding]:
        found = checks.version() + checks.file(self.path)
        if not found and self._session is None:
            self._attach(":memory:" if not self.path.exists() else f"file:{_uri(self.path)}?mode=ro")
        return found

    def open(self, name: str) -> None:
        """The runner's connection: waits for the lock of stream `name`, makes the file, sets the pragmas."""
        self.close()
        self._lock = RunnerLock(self.path, name)
        self._lock.acquire()
        self._attach(f"file:{_uri(self.path)}?mode=rwc")
        assert self._session is not None
        with self._session.translated():
            for pragma in PRAGMAS:
                self._session.execute(pragma)
        status = self.path.stat()
        self._file = (status.st_dev, status.st_ino)

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

        self._session = Session(engine, _translate)
        self.ledger = SqlLedger(self._session, schemas=False)
        self.structure = SqliteStructure(self._session, self.ledger)
        self.applier = SqlApplier(self._session, self.ledger, DIALECT, storage, _violation)

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
                busy = error.orig is not None and (_code(error.orig) or 0) & 0xFF == sqlite3.SQLITE_BUSY
                waited = time.monotonic() - began
                if not busy or self._cancelled or waited >= self._session.patience_s:
                    raise
                if waited >= NOTICE_S and not said:
                    said = True
                    log.warning("waiting: another process is writing to %s", self.path)

    def _still_the_file(self) -> None:
        """A file that was deleted or replaced still takes writes, into nowhere."""
        if self._file is None:
            return
        try:
            status = self.path.stat()
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._file:
            raise CannotApply(
                f"the file {self.path} was removed or replaced while it was being written",
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
        self._file = None


def _uri(path: Path) -> str:
    """A path in a `file:` URI, with what means something there escaped."""
    text = str(path.absolute())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


_RETRY = {
    sqlite3.SQLITE_BUSY: "another process is writing to the file",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "target out of space (SQLITE_FULL)",
    sqlite3.SQLITE_IOERR: "the disk failed (SQLITE_IOERR)",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
    sqlite3.SQLITE_PROTOCOL: "the file's locks are contended (SQLITE_PROTOCOL)",
}
_STOP = {
    sqlite3.SQLITE_READONLY: (
        "the file cannot be written (SQLITE_READONLY)",
        "give this user the right to write it",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened (SQLITE_CANTOPEN)",
        "check the directory and its rights",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged (SQLITE_CORRUPT)",
        "restore it from a backup, then start again",
    ),
    sqlite3.SQLITE_NOTADB: ("the file is not an SQLite database (SQLITE_NOTADB)", "name another file"),
    sqlite3.SQLITE_TOOBIG: (
        "a row is larger than SQLite holds (SQLITE_TOOBIG)",
        "leave the table out with --exclude",
    ),
    sqlite3.SQLITE_MISMATCH: (
        "a value does not have the column's type (SQLITE_MISMATCH)",
        "check the target's table",
    ),
}


def _code(error: BaseException) -> int | None:
    code: Any = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code)


def _translate(error: BaseException) -> ReplicatorError | None:
    """By https://www.sqlite.org/rescode.html: the low byte is the kind."""
    code = _code(error)
    if code is None:
        return None
    kind = code & 0xFF
    if kind in _RETRY:
        return Retryable(f"SQLite: {_RETRY[kind]}")
    if kind in _STOP:
        what, remedy = _STOP[kind]
        return CannotApply(f"SQLite: {what}", remedy=remedy)
    return CannotApply(f"SQLite: {error}", remedy="the position is kept; mend the cause and start again")


_UNIQUE = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
}


def _violation(error: BaseException) -> Violation | None:
    code = _code(error)
    if code is None or code & 0xFF != sqlite3.SQLITE_CONSTRAINT:
        return None
    return "unique" if code in _UNIQUE else "other"
