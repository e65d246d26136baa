"""`on_conflict = "overwrite"`: what the log says of a row is what the target has afterwards, whatever it had before.

Only rows under the same key give way. What else stands in the way, a value of another unique index for one, still stops
the stream: nobody can tell which of two rows is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from replicator import remedies
from replicator.errors import Conflict
from replicator.model.change import Rows
from replicator.model.compact import compact, named_key
from replicator.model.values import MISSING, Row
from replicator.sql.plan import EncodedRow, Plan
from replicator.sql.writes import Writes

Failed = Callable[[str, Sequence[Any], Exception], Exception]
"""What to raise for a row that the target refuses, from the operation, the key and the driver's error."""


class Overwrite:
    def __init__(self, writes: Writes, plan: Plan, failed: Failed) -> None:
        self._writes = writes
        self._plan = plan
        self._failed = failed

    def write(self, runs: list[Rows]) -> int:
        """Row by row; how many rows were not at the target what the log takes them for."""
        return self._by_key(runs) if self._plan.table.key else self._by_row(runs)

    def _by_key(self, runs: list[Rows]) -> int:
        net = compact(self._plan.table, runs)
        written: list[tuple[EncodedRow, EncodedRow, bool]] = []
        for key, entry in net.entries.items():
            if entry.row is not None:
                (row,) = self._plan.encode_rows([entry.row])
                if entry.origin is not None and entry.origin != key:  # read before it is gone from where it was
                    row = self._whole(self._key(entry.origin), row)
                written.append((self._key(key), row, entry.existed))
        gone = sum(1 - self._delete(self._key(key)) for key in net.deletes())
        return gone + sum(self._put(*each) for each in written)

    def _by_row(self, runs: list[Rows]) -> int:
        count = 0
        for run in runs:
            if run.op == "insert":
                for row in self._plan.encode_rows(run.rows):
                    self._insert(row)
            elif run.op == "delete":
                count += sum(1 - self._delete(self._key(key)) for key in run.keys)
            else:
                rows = self._plan.encode_rows(run.rows)
                count += sum(self._put(self._key(key), row, True) for key, row in zip(run.keys, rows, strict=True))
        return count

    def _put(self, key: EncodedRow, row: EncodedRow, there: bool) -> int:
        """Update the row, or insert it; 1 where it was not as `there` says."""
        if self._update(key, row):
            return 0 if there else 1
        self._insert(self._whole(key, row))
        return 1 if there else 0

    def _whole(self, key: EncodedRow, row: EncodedRow) -> EncodedRow:
        """With what it is MISSING as the target has it under `key`. Raises Conflict where there is no such row."""
        at = tuple(i for i, value in enumerate(row) if value is MISSING)
        if not at:
            return row
        found = self._writes.fetch(self._plan, at, key)
        if found is None:
            table = self._plan.table
            raise Conflict(
                f"{table.name} (key {named_key(table, key)}): the update found no such row at the target, and came "
                f"without its values of {', '.join(table.names[i] for i in at)}: it cannot be made whole",
                remedy=f"copy the table anew: {remedies.recopy(table.name)}",
            )
        values = iter(found)
        return [next(values) if value is MISSING else value for value in row]

    def _key(self, key: Row) -> EncodedRow:
        return self._plan.encode_keys([key])[0]

    def _delete(self, key: EncodedRow) -> int:
        with self._failing("delete", key):
            return self._writes.delete(self._plan, [key])

    def _update(self, key: EncodedRow, row: EncodedRow) -> int:
        with self._failing("update", key):
            return self._writes.update(self._plan, self._plan.assigned(row, moves=False), [key], [row])

    def _insert(self, row: EncodedRow) -> None:
        with self._failing("insert", [row[i] for i in self._plan.key_at]):
            self._writes.insert(self._plan, [row])

    @contextmanager
    def _failing(self, op: str, key: Sequence[Any]) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._failed(op, key, error) from error
