"""The connections that only read: to an SQLite file as a source. Each statement's errors leave as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from replicator.engines.sqlite.failures import translate_reading

WAIT_S = 5.0
"""How long SQLite itself waits for a writer that holds the whole file."""


def uri(path: Path) -> str:
    """A path in a `file:` URI, with what means something there escaped."""
    text = str(path.absolute())
    return text.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for reading, and read its first page. Never makes it (https://www.sqlite.org/uri.html, `mode`).

    Raises CannotApply for a file that cannot be read, Retryable for one that is locked.
    """
    with translated():
        connection = sqlite3.connect(
            f"file:{uri(path)}?mode=ro", uri=True, isolation_level=None, timeout=WAIT_S, check_same_thread=False
        )
    try:
        query(connection, "PRAGMA trusted_schema = OFF")
        query(connection, "SELECT count(*) FROM sqlite_master")
    except BaseException:
        connection.close()
        raise
    return connection


def query(connection: sqlite3.Connection, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with translated():
        return connection.execute(statement, parameters).fetchall()


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the driver leave as ours."""
    try:
        yield
    except sqlite3.Error as error:
        ours = translate_reading(error)
        if ours is None:
            raise
        raise ours from error
