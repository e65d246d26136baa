"""One consistent view of the source, read by COPY in key order, in chunks.

The view belongs to a replication slot's exported snapshot, so its position in the log is exact. It ends with the
session that exported it.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence

import psycopg2.extensions

from replicator import remedies
from replicator.engines.postgres import copytext
from replicator.engines.postgres.connect import query, translated
from replicator.engines.postgres.names import quote, quote_all, quote_table
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.types import from_text
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import ReplicatorError, Retryable, ValueNotHeld
from replicator.model.builder import Limits
from replicator.model.change import Batch, Change, CopyMark, Encoded, Rows
from replicator.model.schema import Name, Table
from replicator.sql.statements import text_literal

FIRST_CHUNK_ROWS = 64
"""The first chunk is small, since nobody knows yet how wide the rows are; then each may be four times the last."""


_BASES = """
WITH RECURSIVE typed AS (
  SELECT attrelid, attname, typbasetype AS type, typtypmod AS modifier
  FROM pg_attribute a JOIN pg_type d ON d.oid = atttypid JOIN pg_class c ON c.oid = attrelid
  WHERE relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped AND typtype = 'd'
  UNION ALL
  SELECT attrelid, attname, typbasetype, typtypmod FROM typed JOIN pg_type d ON d.oid = type WHERE typtype = 'd')
SELECT attrelid::text, attname, format_type(type, modifier) FROM typed JOIN pg_type b ON b.oid = type
WHERE typtype <> 'd'
"""
"""The columns whose type is a domain, each with the type under all its domains."""
_TABLES = "SELECT oid::text, relkind = 'p', greatest(reltuples, 0)::bigint FROM pg_class WHERE relkind IN ('r', 'p')"
_OPERATORS = """
SELECT format_type(c.opcintype, NULL), a.amopstrategy, n.nspname, o.oprname
FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
JOIN pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype
JOIN pg_operator o ON o.oid = a.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
WHERE c.opcdefault AND a.amopstrategy IN (3, 4, 5) AND n.nspname <> 'pg_catalog'
"""
"""By a type that an extension brings: =, >= and > of the order that ORDER BY uses. Without the extension's schema in
the search path an operator of a type that it casts to would be taken, which orders in another way (citext as text)."""
EQUAL, NOT_LESS, GREATER = 3, 4, 5
PLAIN = {EQUAL: "=", NOT_LESS: ">=", GREATER: ">"}
TABLES_AT_ONCE = 100
"""A transaction locks every table and index that it reads, and all sessions of a server share the room for locks: so
the snapshot is taken up by a new transaction after this many tables."""


_NOW = """
SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""


class Sink:
    """Takes COPY's rows, of which the server sends each as one message, until there are `limit` bytes of them.

    The rest is read and dropped: only so does the session stay usable. The first row is always kept.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.rows: list[bytes] = []
        self.size = 0
        self.whole = True
        """Was everything kept?"""

    def write(self, row: bytes) -> int:
        if self._limit is not None and self.size >= self._limit:
            self.whole = False
        else:
            self.rows.append(row)
            self.size += len(row)
        return len(row)


class PostgresSnapshot:
    def __init__(
        self,
        connection: psycopg2.extensions.connection,
        position: Lsn | None,
        exported: str,
        owner: WalSender | psycopg2.extensions.connection,
    ) -> None:
        self.position = position
        self.as_of: str = query(connection, _NOW)[0][0]
        self._connection = connection
        self._owner = owner
        self._exported = exported
        self._read = 0
        self._take_up()
        # For all tables at once: a database may have thousands of small ones.
        self._bases: dict[str, dict[str, str]] = {}
        for table, column, base in query(connection, _BASES):
            self._bases.setdefault(table, {})[column] = base
        self._operators: dict[str, dict[int, str]] = {}
        for kind, strategy, schema, operator in query(connection, _OPERATORS):
            self._operators.setdefault(kind, {})[strategy] = f"OPERATOR({quote(schema)}.{operator})"
        self._tables: dict[str, tuple[bool, int]] = {
            table: (partitioned, rows) for table, partitioned, rows in query(connection, _TABLES)
        }

    def _take_up(self) -> None:
        query(
            self._connection,
            f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {text_literal(self._exported)}",
        )

    def _next_table(self) -> None:
        self._read += 1
        if self._read % TABLES_AT_ONCE == 0:
            query(self._connection, "COMMIT")
            try:
                self._take_up()
            except ReplicatorError as error:
                # Nothing is lost: finished tables stay, and the others are copied under another snapshot.
                raise Retryable(f"the snapshot is gone, its session has ended: {error.what}") from error

    @classmethod
    def exported(
        cls, connection: psycopg2.extensions.connection, owner: psycopg2.extensions.connection
    ) -> PostgresSnapshot:
        """A view without a position. `owner` exports it, and stands idle in its transaction for as long as it lasts."""
        query(owner, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return cls(connection, None, query(owner, "SELECT pg_export_snapshot()")[0][0], owner)

    def settles(self) -> None:
        """The view is exact."""

    def estimated_rows(self, table: Table) -> int:
        return self._tables.get(table.id, (False, 0))[1]

    def chunks(
        self,
        table: Table,
        part: int,
        cursor: tuple[str, ...] | None,
        limits: Limits,
        formats: Collection[str] = (),
    ) -> Iterator[Batch]:
        self._next_table()
        walk = self._by_key(table, cursor, limits) if table.key else self._by_block(table, cursor, limits)
        for lines, size, reached, done in walk:
            decoded = functools.partial(self._decoded, table, lines)
            change: Change
            if copytext.FORMAT in formats:
                change = Encoded(table, copytext.FORMAT, b"".join(lines), len(lines), decoded)
            else:
                change = decoded()
            yield Batch(
                (change,) if lines else (),
                (),
                CopyMark(table, part, self.position, reached, done),
                size=size,
                rows=len(lines),
            )

    def _by_key(
        self, table: Table, cursor: tuple[str, ...] | None, limits: Limits
    ) -> Iterator[tuple[list[bytes], int, tuple[str, ...] | None, bool]]:
        """Lines in key order, each chunk by `key > cursor ORDER BY key LIMIT n`: an index scan."""
        columns = {column.name: column for column in table.columns}
        key = quote_all(table.key)
        # An enum's operators do not take a domain over it. In the base type the index serves as well.
        bases = self._bases.get(table.id, {})
        compared = [f"{quote(name)}::{bases[name]}" if name in bases else quote(name) for name in table.key]
        kinds = [bases.get(name, columns[name].native_name) for name in table.key]
        source = self._relation(table)
        select = f"SELECT {quote_all(table.names)} FROM {source}"
        limit = min(FIRST_CHUNK_ROWS, limits.rows)
        while True:
            where = ""
            if cursor is not None:
                values = [f"{text_literal(value)}::{kind}" for value, kind in zip(cursor, kinds, strict=True)]
                where = f" WHERE {self._after(compared, values, kinds)}"
            lines, size, whole = self._copy(f"{select}{where} ORDER BY {key} LIMIT {limit}", limits.bytes)
            done = whole and len(lines) < limit
            if lines:
                last = copytext.fields(_line(lines[-1][:-1], select))
                cursor = tuple(field for i in table.key_at if (field := last[i]) is not None)
            yield lines, size, cursor, done
            if done:
                return
            fits = max(1, limits.bytes * len(lines) // max(size, 1))
            limit = max(1, min(limit * 4, fits, limits.rows))

    def _after(self, key: Sequence[str], values: Sequence[str], kinds: Sequence[str]) -> str:
        """The rows whose key comes after these values."""
        if self._operators.keys().isdisjoint(kinds):
            return f"({', '.join(key)}) > ({', '.join(values)})"

        def holds(at: int, how: int) -> str:
            return f"{key[at]} {self._operators.get(kinds[at], PLAIN)[how]} {values[at]}"

        later = [
            " AND ".join([*(holds(before, EQUAL) for before in range(at)), holds(at, GREATER)])
            for at in range(len(key))
        ]
        return f"{holds(0, NOT_LESS)} AND ({' OR '.join(later)})"

    def _by_block(
        self, table: Table, cursor: tuple[str, ...] | None, limits: Limits
    ) -> Iterator[tuple[list[bytes], int, tuple[str, ...] | None, bool]]:
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
                # The cursor cannot stand inside a range: too large a one is read again in halves, one block whole.
                lines, size, whole = self._copy(
                    f"SELECT {quote_all(table.names)} FROM ONLY {quote_table(Name(schema, name))} "
                    f"WHERE ctid >= '({first},0)'{upper}",
                    limits.bytes if after - first > 1 else None,
                )
                if not whole:
                    step = (after - first) // 2
                    continue
                yield lines, size, (str(oid), str(after)), False
                per_block = max(1, size // step)
                step = max(1, min(step * 4, limits.bytes // per_block, limits.rows // max(1, len(lines) // step)))
                first = after
        yield [], 0, cursor, True

    def _relation(self, table: Table) -> str:
        partitioned, _ = self._tables.get(table.id, (False, 0))
        return ("" if partitioned else "ONLY ") + quote_table(table.name)

    def _copy(self, select: str, limit: int | None) -> tuple[list[bytes], int, bool]:
        """The lines of a SELECT in COPY's text format up to `limit` bytes, their size, and whether they are all."""
        sink = Sink(limit)
        with translated(), self._connection.cursor() as cursor:
            cursor.copy_expert(f"COPY ({select}) TO STDOUT", sink)
        return sink.rows, sink.size, sink.whole

    @staticmethod
    def _decoded(table: Table, lines: list[bytes]) -> Rows:
        texts = _line(b"".join(lines), str(table.name)).split("\n")[:-1]
        try:
            rows = copytext.rows(texts, [from_text(column) for column in table.columns])
            return Rows(table, "insert", rows, [])
        except ValueError:
            # The converter's text may quote the value.
            raise ValueNotHeld(
                f"{table.name}: a value has not the form of its type",
                remedy=f"leave the table out with --exclude {remedies.shell(table.name)}, and report this",
            ) from None

    def close(self) -> None:
        self._connection.close()
        self._owner.close()


def _line(data: bytes, read: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueNotHeld(
            f"a row is not valid UTF-8 (read by: {read.split(' WHERE ')[0]})",
            remedy="repair the value at the source (the database has no encoding of its own: SQL_ASCII)",
        ) from error
