"""How many rows of one table and one kind are written: the seam where engines differ.

The applier says what is to be written and counts what was; an engine says by which statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from replicator.model.change import Encoded
from replicator.sql.connect import Session
from replicator.sql.plan import EncodedRow, Plan


class Writes(Protocol):
    """Each answer is how many rows of the target were touched. Errors are the driver's own."""

    in_order: bool
    """Are rows written one after another? Otherwise rows that may meet one another are given one at a time."""

    def insert(self, plan: Plan, rows: Sequence[EncodedRow]) -> int: ...

    def load(self, plan: Plan, encoded: Encoded) -> int:
        """Insert rows that come in a format of this target's."""
        ...

    def update(
        self, plan: Plan, assigned: tuple[int, ...], keys: Sequence[EncodedRow], rows: Sequence[EncodedRow]
    ) -> int:
        """Set the columns at `assigned` in the rows of these keys; no other value of `rows` is used."""
        ...

    def delete(self, plan: Plan, keys: Sequence[EncodedRow]) -> int: ...

    def fetch(self, plan: Plan, columns: tuple[int, ...], key: EncodedRow) -> Sequence[Any] | None:
        """The values at `columns` of one row, encoded; None where there is no such row."""
        ...

    def empty(self, plan: Plan) -> None: ...

    def reason(self, error: BaseException) -> str:
        """Why a constraint objected, without the values of the row."""
        ...


class Executemany:
    """One prepared statement for each row, in order."""

    in_order = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, plan: Plan, rows: Sequence[EncodedRow]) -> int:
        return self._session.execute_many(plan.insert, rows)

    def load(self, plan: Plan, encoded: Encoded) -> int:
        return self.insert(plan, plan.encode_rows(encoded.decoded().rows))

    def update(
        self, plan: Plan, assigned: tuple[int, ...], keys: Sequence[EncodedRow], rows: Sequence[EncodedRow]
    ) -> int:
        parameters = [[*(row[i] for i in assigned), *key] for key, row in zip(keys, rows, strict=True)]
        return self._session.execute_many(plan.update(assigned), parameters)

    def delete(self, plan: Plan, keys: Sequence[EncodedRow]) -> int:
        return self._session.execute_many(plan.delete, keys)

    def fetch(self, plan: Plan, columns: tuple[int, ...], key: EncodedRow) -> Sequence[Any] | None:
        found: Sequence[Any] | None = self._session.execute(plan.select(columns), key).fetchone()
        return found

    def empty(self, plan: Plan) -> None:
        self._session.execute(plan.empty)

    def reason(self, error: BaseException) -> str:
        return str(error)
