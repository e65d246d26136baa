"""One consistent view of the source, read in key order, in chunks, each value as its text in UTC.

How exactly the view and the log meet (design section 4, verified there under writers): MariaDB says itself where an
open snapshot stands. MySQL does not, and its set of GTIDs is not exact beside one: so the commits are held back by a
lock for as long as it takes to open the snapshot and to read the set.

https://dev.mysql.com/doc/refman/9.7/en/commit.html, https://mariadb.com/kb/en/start-transaction/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

from replicator import remedies
from replicator.engine import Endpoint
from replicator.engines.mysql.connect import Connection, connect, query, translated
from replicator.engines.mysql.names import quote_table
from replicator.engines.mysql.paging import Paging, select
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.textrows import RawRow
from replicator.engines.mysql.textrows import Rows as TextRows
from replicator.engines.mysql.values import from_text
from replicator.errors import ReplicatorError, ValueNotHeld
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Rows
from replicator.model.schema import Table
from replicator.model.values import Row

FIRST_CHUNK_ROWS = 64
"""The first chunk is small, since nobody knows yet how wide the rows are; then each may be four times the last."""
BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT"
NOW = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')"
_ESTIMATES = """
SELECT TABLE_SCHEMA, TABLE_NAME, COALESCE(TABLE_ROWS, 0), ENGINE FROM information_schema.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')
"""


class MysqlSnapshot:
    """`connection` has the view open already; it ends with it. `head`: where the log stands now, of a view that may be
    ahead of its `position`."""

    def __init__(
        self,
        where: Endpoint,
        connection: Connection,
        position: BinlogPosition | None,
        as_of: str,
        head: Callable[[], BinlogPosition] | None = None,
    ) -> None:
        self._head = head
        self.position = position
        self.as_of = as_of
        self._where = where
        self._connection = connection
        with translated(where):
            self._rows = {(schema, name): int(rows) for schema, name, rows, _ in query(connection, _ESTIMATES)}

    @classmethod
    def without_position(cls, where: Endpoint) -> MysqlSnapshot:
        connection = connect(where)
        with translated(where):
            query(connection, BEGIN)
            return cls(where, connection, None, query(connection, NOW)[0][0])

    def settles(self) -> BinlogPosition | None:
        return None if self._head is None else self._head()

    def estimated_rows(self, table: Table) -> int:
        return self._rows.get(table.name, 0)

    def chunks(
        self,
        table: Table,
        part: int,
        cursor: tuple[str, ...] | None,
        limits: Limits,
        formats: Collection[str] = (),
    ) -> Iterator[Batch]:
        walk = self._by_key(table, cursor, limits) if table.key else self._whole(table, limits)
        convert = [from_text(column) for column in table.columns]
        for raw, size, reached, done in walk:
            rows = self._converted(table, raw, convert)
            change = Rows(table, "insert", rows, [])
            yield Batch(
                (change,) if rows else (),
                (),
                CopyMark(table, part, self.position, reached, done),
                size=size,
                rows=len(rows),
            )

    def _by_key(
        self, table: Table, cursor: tuple[str, ...] | None, limits: Limits
    ) -> Iterator[tuple[list[RawRow], int, tuple[str, ...] | None, bool]]:
        """Rows in key order, each chunk by `key > cursor ORDER BY key LIMIT n`: a scan of the key's index.

        The cursor holds the key's values as the server wrote them, in hexadecimal.
        """
        paging = Paging(table)
        limit = min(FIRST_CHUNK_ROWS, limits.rows)
        while True:
            where = f" WHERE {paging.after(cursor)}" if cursor is not None else ""
            raw, size, whole = self._read(f"{paging.select}{where} ORDER BY {paging.key} LIMIT {limit}", limits.bytes)
            done = whole and len(raw) < limit
            if raw:
                cursor = paging.cursor(raw[-1])
            yield raw, size, cursor, done
            if done:
                return
            fits = max(1, limits.bytes * len(raw) // max(size, 1))
            limit = max(1, min(limit * 4, fits, limits.rows))

    def _whole(self, table: Table, limits: Limits) -> Iterator[tuple[list[RawRow], int, tuple[str, ...] | None, bool]]:
        """A table without a key has no order to go on in: one statement, streamed, and no other may run beside it."""
        held: tuple[list[RawRow], int] = ([], 0)
        for raw, size in self._stream(f"{select(table)} FROM {quote_table(table.name)}", limits):
            if held[0]:
                yield *held, None, False
            held = raw, size
        yield *held, None, True

    def _read(self, statement: str, limit: int) -> tuple[list[RawRow], int, bool]:
        """Rows up to `limit` bytes of them, their size, and whether they are all. The rest is read and dropped."""
        kept: list[RawRow] = []
        size, whole = 0, True
        with translated(self._where):
            for rows, taken in TextRows(self._connection, statement).batches():
                if size + taken <= limit:
                    kept += rows
                    size += taken
                    continue
                for row in rows:
                    if kept and size >= limit:
                        whole = False
                        break
                    kept.append(row)
                    size += sum(len(value) for value in row if value is not None)
        return kept, size, whole

    def _stream(self, statement: str, limits: Limits) -> Iterator[tuple[list[RawRow], int]]:
        with translated(self._where), closing(TextRows(self._connection, statement)) as found:
            kept: list[RawRow] = []
            size = 0
            for rows, taken in found.batches():
                kept += rows
                size += taken
                if len(kept) >= limits.rows or size >= limits.bytes:
                    yield kept, size
                    kept, size = [], 0
            if kept:
                yield kept, size

    @staticmethod
    def _converted(table: Table, raw: list[RawRow], convert: Sequence[Callable[[bytes], Any]]) -> list[Row]:
        at = 0
        try:
            columns: list[Iterable[Any]] = []
            for change, column in zip(convert, zip(*raw, strict=True), strict=False):
                at = len(columns)
                if None in column:
                    columns.append([None if value is None else change(value) for value in column])
                else:
                    columns.append(list(map(change, column)))
            return list(zip(*columns, strict=True)) if columns else [()] * len(raw)
        except (ValueError, UnicodeDecodeError, ReplicatorError):
            # The converter's text may quote the value.
            raise ValueNotHeld(
                f"{table.name}.{table.names[at]}: a value has not the form of its type, or not of its character set",
                remedy="repair the value at the source, or leave the table out with --exclude "
                + remedies.shell(table.name),
            ) from None

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()
