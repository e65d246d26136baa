"""One connection to a target: the ledger and the rows use it together, so that they share each transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, StatementError

from replicator.errors import ReplicatorError

Translate = Callable[[BaseException], ReplicatorError | None]
"""An engine's edge: a driver's error as one of ours, by SQLSTATE or error number; None for an error of nobody's."""


PATIENCE_S = 60.0


class Session:
    """A SQLAlchemy connection, and below it the driver's own cursor for the rows."""

    def __init__(self, engine: sa.Engine, translate: Translate) -> None:
        self._engine = engine
        self.patience_s = PATIENCE_S
        """How long a transaction may wait to begin, where an engine lets it wait."""
        self._translate = translate
        self._joined = False
        with self.translated():
            self.connection = engine.connect()
        self.driver: Any = self.connection.connection.driver_connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the driver leave as ours."""
        try:
            yield
        except ReplicatorError:
            raise
        except Exception as error:
            cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
            if isinstance(cause, ReplicatorError):  # of a connection that was made anew
                raise cause from error
            ours = self._translate(cause)
            if ours is None:
                raise
            raise ours from error

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction for statements of the ledger and for DDL; within `joined`, its own."""
        with self.translated():
            if self._joined:
                yield self.connection
                return
            with self.connection.begin():
                yield self.connection

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The transaction that is open, or one for these statements."""
        if self.in_transaction:
            yield
            return
        with self.transaction():
            yield

    @contextmanager
    def joined(self) -> Iterator[None]:
        """One transaction for everything inside, whose own ends then commit nothing. The caller commits."""
        self.begin()
        self._joined = True
        try:
            yield
        except BaseException:
            self._joined = False
            self.rollback()
            raise
        self._joined = False

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """For what may be left undone: wait for nobody."""
        self.patience_s = 0.0
        try:
            yield
        finally:
            self.patience_s = PATIENCE_S

    def begin(self) -> None:
        with self.translated():
            self.connection.begin()

    def commit(self) -> None:
        with self.translated():
            self.connection.commit()

    def rollback(self) -> None:
        """Never raises for a connection that is gone: then the server has rolled back."""
        try:
            self.connection.rollback()
        except DBAPIError:
            self.connection.invalidate()

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction()

    @property
    def is_joined(self) -> bool:
        return self._joined

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """One statement on the driver's cursor, which is returned."""
        cursor = self.driver.cursor()
        cursor.execute(statement, parameters)
        return cursor

    def execute_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """The statement for each row; how many rows it touched in all."""
        cursor = self.driver.cursor()
        cursor.executemany(statement, rows)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def close(self) -> None:
        try:
            self.connection.close()
        finally:
            self._engine.dispose()
