"""SQLite's errors as ours, by result code (https://www.sqlite.org/rescode.html), for both ends."""

from __future__ import annotations

import sqlite3
from typing import Any

from replicator.errors import CannotApply, ReplicatorError, Retryable
from replicator.sql.objection import Violation

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


def code_of(error: BaseException) -> int | None:
    code: Any = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code)


def translate(error: BaseException) -> ReplicatorError | None:
    """By https://www.sqlite.org/rescode.html: the low byte is the kind."""
    code = code_of(error)
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


def violation(error: BaseException) -> Violation | None:
    code = code_of(error)
    if code is None or code & 0xFF != sqlite3.SQLITE_CONSTRAINT:
        return None
    return "unique" if code in _UNIQUE else "other"


_NO_WAL = (
    "the source file is in WAL mode, and there are no -wal and -shm files, which this user cannot make beside it",
    "give this user the right to write in the file's directory, or copy while another program has the file open",
)
_READING = {
    sqlite3.SQLITE_READONLY_DIRECTORY: _NO_WAL,
    sqlite3.SQLITE_READONLY_CANTINIT: _NO_WAL,
    sqlite3.SQLITE_READONLY: (
        "the source file was left by a writer that died, and only a writer may clean it up (SQLITE_READONLY)",
        "open it once for writing, as its owner: sqlite3 FILE 'SELECT count(*) FROM sqlite_master'",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the source file, or its -wal or -shm file, cannot be opened (SQLITE_CANTOPEN)",
        "check their rights and those of the directory",
    ),
    sqlite3.SQLITE_TOOBIG: ("a row is larger than SQLite reads (SQLITE_TOOBIG)", "leave the table out with --exclude"),
}
_READING_LATER = {
    sqlite3.SQLITE_FULL: "no space for temporary files (SQLITE_FULL)",
    sqlite3.SQLITE_BUSY: "another process is writing to the source file, and holds all of it",
}


def translate_reading(error: BaseException) -> ReplicatorError | None:
    """The same for a source. An error without a code is the driver's: a text of the schema that is not UTF-8."""
    code = code_of(error)
    if code is None and type(error) is sqlite3.OperationalError:
        return CannotApply(
            "the source file has a name or a type in its schema that is not valid UTF-8",
            remedy="mend it with ALTER TABLE ... RENAME",
        )
    kind = (code or 0) & 0xFF
    if kind in _READING_LATER:
        return Retryable(f"SQLite: {_READING_LATER[kind]}")
    if found := _READING.get(code or 0) or _READING.get(kind):
        what, remedy = found
        return CannotApply(f"SQLite: {what}", remedy=remedy)
    return translate(error)
