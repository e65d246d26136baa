"""One consistent view of the source, read by COPY in key order, in chunks.

The view belongs to a replication slot's exported snapshot, so its position in the log is exact. It ends with the
session that exported it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg2.extensions

from replicator.engines.postgres import copytext
from replicator.engines.postgres.connect import query, translated
from replicator.engines.postgres.names import quote_all, quote_table
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.types import from_text
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import ValueNotHeld
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Rows
from replicator.model.schema import Name, Table
from replicator.model.values import Row
from replicator.sql.statements import text_literal

FIRST_CHUNK_ROWS = 64
"""The first chunk is small, since nobody knows yet how wide the rows are; then each may be four times the last."""


class PostgresSnapshot:
    def __init__(
        self,
        connection: psycopg2.extensions.connection,
        position: Lsn,
        exported: str,
        owner: WalSender,
    ) -> None:
        self.position = position
        self._connection = connection
        self._owner = owner
        query(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        query(connection, f"SET TRANSACTION SNAPSHOT {text_literal(exported)}")

    def estimated_rows(self, table: Table) -> int:
        rows = query(self._connection, "SELECT reltuples::bigint FROM pg_class WHERE oid = %s", (int(table.id),))
        return max(0, rows[0][0]) if rows else 0

    def chunks(self, table: Table, part: int, cursor: tuple[str, ...] | None, limits: Limits) -> Iterator[Batch]:
        walk = self._by_key(table, cursor, limits) if table.key else self._by_block(table, cursor, limits)
        for lines, size, reached, done in walk:
            rows = self._rows(table, lines)
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
    ) -> Iterator[tuple[list[str], int, tuple[str, ...] | None, bool]]:
        """Lines in key order, each chunk by `key > cursor ORDER BY key LIMIT n`: an index scan."""
        columns = {column.name: column for column in table.columns}
        key = quote_all(table.key)
        source = self._relation(table)
        select = f"SELECT {quote_all(table.names)} FROM {source}"
        limit = min(FIRST_CHUNK_ROWS, limits.rows)
        while True:
            where = ""
            if cursor is not None:
                values = ", ".join(
                    f"{text_literal(value)}::{columns[name].native_name}"
                    for name, value in zip(table.key, cursor, strict=True)
                )
                where = f" WHERE ({key}) > ({values})"
            lines, size = self._copy(f"{select}{where} ORDER BY {key} LIMIT {limit}")
            done = len(lines) < limit
            if lines:
                last = copytext.fields(lines[-1])
                cursor = tuple(field for i in table.key_at if (field := last[i]) is not None)
            yield lines, size, cursor, done
            if done:
                return
            fits = max(1, limits.bytes * len(lines) // max(size, 1))
            limit = max(1, min(limit * 4, fits, limits.rows))

    def _by_block(
        self, table: Table, cursor: tuple[str, ...] | None, limits: Limits
    ) -> Iterator[tuple[list[str], int, tuple[str, ...] | None, bool]]:
        """Lines of a table without a key, by ranges of its blocks; a partitioned one leaf by leaf.

        The cursor is (leaf's OID, first block not read).
        """
        leaves = query(
            self._connection,
            "SELECT l.oid, n.nspname, l.relname, pg_relation_size(l.oid) / current_setting('block_size')::int "
            "FROM pg_class c LEFT JOIN LATERAL pg_partition_tree(c.oid) t ON c.relkind = 'p' "
            "JOIN pg_class l ON l.oid = coalesce(t.relid, c.oid) AND l.relkind = 'r' "
            "JOIN pg_namespace n ON n.oid = l.relnamespace WHERE c.oid = %s ORDER BY l.oid",
            (int(table.id),),
        )
        reached = (int(cursor[0]), int(cursor[1])) if cursor else (0, 0)
        step = 1
        for oid, schema, name, blocks in leaves:
            first = reached[1] if oid == reached[0] else 0
            while oid >= reached[0] and first < blocks:
                after = min(blocks, first + step)
                # The last range has no upper end: blocks that were added meanwhile hold nothing that we may see.
                upper = f" AND ctid < '({after},0)'" if after < blocks else ""
                lines, size = self._copy(
                    f"SELECT {quote_all(table.names)} FROM ONLY {quote_table(Name(schema, name))} "
                    f"WHERE ctid >= '({first},0)'{upper}"
                )
                yield lines, size, (str(oid), str(after)), False
                per_block = max(1, size // step)
                step = max(1, min(step * 4, limits.bytes // per_block, limits.rows // max(1, len(lines) // step)))
                first = after
        yield [], 0, cursor, True

    def _relation(self, table: Table) -> str:
        kind = query(self._connection, "SELECT relkind FROM pg_class WHERE oid = %s", (int(table.id),))
        only = "" if kind and kind[0][0] == "p" else "ONLY "
        return only + quote_table(table.name)

    def _copy(self, select: str) -> tuple[list[str], int]:
        """The lines of a SELECT in COPY's text format, and their size in bytes."""
        buffer = io.BytesIO()
        with translated(), self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY ({select}) TO STDOUT", buffer)
        data = buffer.getvalue()
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise ValueNotHeld(
                f"a row is not valid UTF-8 (read by: {select.split(' WHERE ')[0]})",
                remedy="repair the value at the source (the database has no encoding of its own: SQL_ASCII)",
            ) from error
        return text.split("\n")[:-1], len(data)

    @staticmethod
    def _rows(table: Table, lines: list[str]) -> list[Row]:
        try:
            return copytext.rows(lines, [from_text(column) for column in table.columns])
        except ValueError as error:
            raise ValueNotHeld(f"{table.name}: a value has not the form of its type: {error}") from error

    def close(self) -> None:
        self._connection.close()
        self._owner.close()
