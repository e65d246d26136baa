"""One consistent view of an SQLite file: a read transaction, in which each table is read by one SELECT in key order.

Tables with rowids are read by rowid, which is never NULL; a primary key that is not the rowid may be, and even twice
(https://www.sqlite.org/lang_createtable.html#the_primary_key). WITHOUT ROWID tables are read by their primary key,
under its own collations: a column's collation may take two of its values for one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from replicator import remedies
from replicator.engines.sqlite.catalog import SCHEMA, Described, describe
from replicator.engines.sqlite.connect import query, translated
from replicator.engines.sqlite.failures import code_of
from replicator.engines.sqlite.held import Held
from replicator.engines.sqlite.statements import DIALECT
from replicator.errors import Refused, SchemaChanged, ValueNotHeld
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Rows
from replicator.model.compact import named_key
from replicator.model.saved import save_shape
from replicator.model.schema import Table
from replicator.model.values import Row

VALUE_BYTES = 8
"""What a value counts that is neither text nor a blob."""


class SqliteSnapshot:
    position = None

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Taken before, so that the view has all that was committed until then. It begins with the first read.
        self.as_of = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        query(connection, "BEGIN")
        query(connection, "SELECT count(*) FROM sqlite_master")

    def settles(self) -> None:
        """The view is exact."""

    def estimated_rows(self, table: Table) -> int:
        """By ANALYZE, or by the span of the rowids where so many rows may be in the file; else 0."""
        if query(self._connection, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'"):
            found = query(self._connection, "SELECT stat FROM sqlite_stat1 WHERE tbl = ? LIMIT 1", (table.name.name,))
            if found and (words := str(found[0][0]).split()) and words[0].isdecimal():
                return int(words[0])
        row_id = self._described(table).row_id
        if row_id is None:
            return 0
        # Apart, since only so each is one look at the tree's edge.
        of = f"(t.{DIALECT.quote(row_id)}) FROM {_source(table)}"
        least, most = (query(self._connection, f"SELECT {end}{of}")[0][0] for end in ("min", "max"))
        ((size,),) = query(self._connection, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return most - least + 1 if most is not None and most - least < size else 0

    def chunks(
        self,
        table: Table,
        part: int,
        cursor: tuple[str, ...] | None,
        limits: Limits,
        formats: Collection[str] = (),
    ) -> Iterator[Batch]:
        """Raises SchemaChanged for a table that is no longer `table`; ValueNotHeld for text that is not valid, and for
        values that their own column would change."""
        read = _Read(self._connection, table, self._described(table), cursor)
        _well_formed(self._connection, read.described)
        done = False
        while not done:
            with translated():
                rows, size, done = read.some(limits)
            yield Batch(
                (Rows(table, "insert", rows, []),) if rows else (),
                (),
                CopyMark(table, part, None, read.cursor, done),
                size=size,
                rows=len(rows),
            )

    def _described(self, table: Table) -> Described:
        """As the view has it, which may be later than the catalog's reading."""
        try:
            found = describe(self._connection, table.name)
        except Refused as error:
            raise SchemaChanged(f"{table.name}: {error.what}", remedy="start again") from error
        if save_shape(found.table) != save_shape(table):
            raise SchemaChanged(f"{table.name} was changed while its copy began", remedy="start again")
        return found

    def close(self) -> None:
        self._connection.close()


class _Read:
    """One table being read. `cursor`: the key of the last row that `some` has given."""

    def __init__(
        self, connection: sqlite3.Connection, table: Table, described: Described, cursor: tuple[str, ...] | None
    ) -> None:
        self._connection = connection
        self._table = table
        self.described = described
        self.cursor = cursor
        self._held = Held(table)
        named = f"t.{DIALECT.quote(described.row_id)}" if described.row_id is not None else ""
        self._hidden = bool(named) and not described.own_row_id
        """Does the rowid, which is no column, stand behind the row?"""
        if described.own_row_id:
            self._key_at: Sequence[int] = (table.names.index(described.row_id or ""),)
        else:
            self._key_at = [table.names.index(key.name) for key in described.order]
        self._keys = (
            [named]
            if named
            else [f"t.{DIALECT.quote(key.name)} COLLATE {DIALECT.quote(key.collation)}" for key in described.order]
        )
        columns = ", ".join(f"t.{DIALECT.quote(name)}" for name in table.names)
        self._select = f"SELECT {columns}{', ' + named if self._hidden else ''} FROM {_source(table)}"
        self._rows = self._query()

    def _query(self) -> sqlite3.Cursor:
        """Behind the cursor. Names are qualified: one in quotes alone would become a text if it were no column."""
        where, values = "", [_decoded(text) for text in self.cursor or ()]
        if values:
            where = f" WHERE ({', '.join(self._keys)}) > ({', '.join('?' * len(values))})"
        with translated():
            return self._connection.execute(f"{self._select}{where} ORDER BY {', '.join(self._keys)}", values)

    def some(self, limits: Limits) -> tuple[list[Row], int, bool]:
        """The next rows, up to the one that reaches a limit; their size, and whether there are no more."""
        rows: list[Any] = []
        size, done = 0, True
        try:
            for row in self._rows:
                rows.append(row)
                for value in row:
                    if value.__class__ is str or value.__class__ is bytes:
                        size += len(value)
                size += VALUE_BYTES * len(row)
                if size >= limits.bytes or len(rows) >= limits.rows:
                    done = False
                    break
        except sqlite3.OperationalError as error:
            if code_of(error) is not None:
                raise
            self._advance(rows)
            raise self._not_utf8() from None  # the driver's text quotes the value
        self._advance(rows)
        if (stranger := self._held.changed(rows)) is not None:
            raise self._not_kept(rows[stranger[0]], stranger[1])
        return [row[:-1] for row in rows] if self._hidden else rows, size, done

    def _advance(self, rows: Sequence[Any]) -> None:
        if rows:
            last = rows[-1]
            self.cursor = (str(last[-1]),) if self._hidden else tuple(_coded(last[i]) for i in self._key_at)

    def _not_utf8(self) -> ValueNotHeld:
        """Which value of the row behind the cursor? It is read again, with a decoder that goes on."""
        self._connection.text_factory = _decode
        row = self._query().fetchone()
        name = next((name for name, value in zip(self._table.names, row, strict=False) if value is ILL_FORMED), "?")
        return _ill_formed(self._table, name, self._named(row))

    def _not_kept(self, row: Sequence[Any], at: int) -> ValueNotHeld:
        column = self._table.columns[at]
        return ValueNotHeld(
            f"{self._table.name}.{column.name} ({self._named(row)}): the value is not one that a column declared "
            f"{column.native_name} keeps as it is: the declaration was changed after it was written",
            remedy="let the column convert it at the source (UPDATE ... SET column = column), "
            f"or leave the table out: --exclude {remedies.shell(self._table.name)}",
        )

    def _named(self, row: Sequence[Any]) -> str:
        return f"rowid {row[-1]}" if self._hidden else named_key(self._table, [row[i] for i in self._table.key_at])


ILL_FORMED = "(not UTF-8)"


def _decode(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return ILL_FORMED


def _ill_formed(table: Table, column: str, key: str) -> ValueNotHeld:
    return ValueNotHeld(
        f"{table.name}.{column} ({key}): a text that is not valid Unicode, which no other place may be given",
        remedy="repair it at the source (UPDATE ... SET column = CAST(column AS BLOB) keeps its bytes), "
        f"or leave the table out: --exclude {remedies.shell(table.name)}",
    )


def _well_formed(connection: sqlite3.Connection, described: Described) -> None:
    """SQLite makes UTF-8 of the text of a UTF-16 database, and something of text that is not valid UTF-16.

    Raises ValueNotHeld for such text. One more reading of the table, by such databases alone.
    """
    ((encoding,),) = query(connection, "PRAGMA encoding")
    if encoding == "UTF-8":
        return

    def ill(raw: bytes | None) -> bool:
        try:
            return raw is not None and raw.decode(encoding) is None
        except UnicodeDecodeError:
            return True

    table = described.table
    connection.create_function("_replicator_ill_formed", 1, ill, deterministic=True)
    row_id = "t." + DIALECT.quote(described.row_id) if described.row_id is not None else "'unknown'"
    for name in table.names:
        column = "t." + DIALECT.quote(name)
        found = query(
            connection,
            f"SELECT {row_id} FROM {_source(table)} WHERE typeof({column}) = 'text' "
            f"AND _replicator_ill_formed(CAST({column} AS BLOB)) LIMIT 1",
        )
        if found:
            raise _ill_formed(table, name, f"rowid {found[0][0]}")


def _source(table: Table) -> str:
    return f"{SCHEMA}.{DIALECT.quote(table.name.name)} AS t"


def _coded(value: Any) -> str:
    """A key's value as the text of a cursor: a letter for its storage class, then the value, exact."""
    match value:
        case float():
            return "f" + value.hex()
        case int():
            return str(value)
        case bytes():
            return "b" + value.hex()
    return "t" + str(value)


def _decoded(text: str) -> Any:
    match text[:1]:
        case "f":
            return float.fromhex(text[1:])
        case "b":
            return bytes.fromhex(text[1:])
        case "t":
            return text[1:]
    return int(text)
