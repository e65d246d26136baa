"""A database whose log the tests read, with the row decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.forms import fits
from replicator.engines.mysql.rowimage import DELETES, UPDATES, WRITES, Rows
from replicator.engines.mysql.tablemap import TableMap, table_map
from replicator.engines.mysql.values import expression, from_text
from replicator.model.datatypes import (
    DataType,
    Integer,
)
from replicator.model.schema import Column
from replicator.model.values import Value
from tests.support import binlog
from tests.support.servers import Server

TYPE_MAP, ROWS = 19, WRITES | UPDATES | DELETES
EVENTS = {19, *ROWS}


class Logged:
    """A database on a server, and what its statements wrote to the log."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.mariadb = server.engine == "mariadb"
        self.name = name
        self.connection = binlog.session(server)
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self.execute(f"USE {name}")
        self.execute("SET sql_mode = 'ALLOW_INVALID_DATES'")

    def close(self) -> None:
        self.execute(f"DROP DATABASE {self.name}")
        self.connection.close()

    @contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """A global variable, for a while."""
        [(before,)] = self.execute(f"SELECT @@GLOBAL.{name}")
        self.execute(f"SET GLOBAL {name} = {value}")
        try:
            yield
        finally:
            old = before.decode()
            self.execute(f"SET GLOBAL {name} = {old if old.isdigit() else repr(old)}")

    def execute(self, *statements: str) -> list[tuple[bytes, ...]]:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def log(self, *statements: str) -> list[binlog.Event]:
        """The table maps and rows that statements wrote."""
        start = binlog.end(self.connection)
        self.execute(*statements)
        return self.since(start)

    def since(self, start: binlog.Place) -> list[binlog.Event]:
        found = binlog.events(self.server, start, binlog.end(self.connection))
        return [event for event in found if event.kind in EVENTS]

    def columns(self, types: dict[str, DataType], table: str = "t") -> list[Column]:
        """The columns as a catalog would pin them."""
        rows = self.execute(
            "SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS"
            f" WHERE TABLE_SCHEMA = '{self.name}' AND TABLE_NAME = '{table}' ORDER BY ORDINAL_POSITION"
        )
        named = [(row[0].decode(), row[1].decode(), (row[2] or b"").decode()) for row in rows]
        return [Column(name, types[name], True, f"{kind}|{charset}", kind) for name, kind, charset in named]

    def selected(self, columns: Sequence[Column], table: str = "t") -> list[tuple[Value, ...]]:
        """The rows as a copy reads them, ordered by their first column."""
        shown = ", ".join(expression(column, f"`{column.name}`") for column in columns)
        convert = [from_text(column) for column in columns]
        rows = self.execute(f"SELECT {shown} FROM {table} ORDER BY `{columns[0].name}`")
        return [
            tuple(None if text is None else of(text) for of, text in zip(convert, row, strict=True)) for row in rows
        ]

    def decoded(self, events: list[binlog.Event], types: dict[str, DataType]) -> tuple[TableMap, list[Rows]]:
        rows = []
        for event in events:
            if event.kind == TYPE_MAP:
                shape = table_map(event.body, mariadb=self.mariadb)
                decoder = row_decoder(shape, types)
            else:
                rows.append(decoder.rows(event.kind, event.body))
        return shape, rows


def compare(source: Logged, declared: str, kind: DataType, literals: Sequence[str]) -> list[Value]:
    """Writes values and NULL, changes and deletes them: the log must have what SELECT gives. Returns the values."""
    source.execute(f"CREATE TABLE t (id int PRIMARY KEY, v {declared} NULL)")
    types = {"id": Integer(32), "v": kind}
    columns = source.columns(types)
    given = [*literals, "NULL"]
    values = ", ".join(f"({number}, {literal})" for number, literal in enumerate(given))
    start = binlog.end(source.connection)
    source.execute(f"INSERT INTO t VALUES {values}")
    selected = source.selected(columns)
    source.execute("UPDATE t SET id = id + 10000 ORDER BY id DESC", "DELETE FROM t ORDER BY id")
    events = source.since(start)
    shape, rows = source.decoded(events, types)
    assert all(fits(wire, column) for wire, column in zip(shape.columns, columns, strict=True))
    inserted = [row for event in rows if event.before is None for row in event.after or ()]
    assert repr(inserted) == repr(selected)  # which tells 0.0 from -0.0, and 1 from 1.0
    moved = [(number + 10000, value) for number, value in inserted]  # type: ignore[operator]
    updates = [event for event in rows if event.before is not None and event.after is not None]
    assert [row for event in updates for row in event.before or ()] == inserted[::-1]
    assert [row for event in updates for row in event.after or ()] == moved[::-1]
    assert [row for event in rows if event.after is None for row in event.before or ()] == moved
    return [value for _, value in inserted[:-1]]
