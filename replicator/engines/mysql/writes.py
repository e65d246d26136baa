"""How a MySQL or MariaDB target is written: LOAD DATA for many inserts where the server takes it, else statements for
many rows at once.

Every value stands in its statement as a literal. Updates and deletes join the table with the rows as a table of VALUES,
that table first, so that each row is found through the key's index. A row of a table without a key is found by all of
its columns, in the form in which the server keeps them, and LIMIT 1.
https://dev.mysql.com/doc/refman/9.7/en/update.html, https://dev.mysql.com/doc/refman/9.7/en/values.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pymysql

from replicator.engines.mysql import loaddata
from replicator.engines.mysql.literals import literal, literals
from replicator.engines.mysql.names import quote
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.shape import Shape
from replicator.engines.mysql.targetfailures import TOO_LARGE, told
from replicator.model.change import Encoded
from replicator.sql.plan import EncodedRow, Plan

STATEMENT_ROWS = 1_000
STATEMENT_BYTES = 4 << 20
"""Of text; a fourth of the server's max_allowed_packet where that is less, since a character may take four bytes."""
BY_LOAD = 50
"""So many rows are loaded; fewer are inserted."""


class MysqlWrites:
    in_order = False

    def __init__(self, session: TargetSession) -> None:
        self._session = session
        self._shapes: dict[int, tuple[Plan, Shape]] = {}
        self._bytes = 0
        self._loads: bool | None = None

    def reason(self, error: BaseException) -> str:
        return told(error)

    def empty(self, plan: Plan) -> None:
        self._run(f"DELETE FROM {quote(plan.target.name)}")

    def insert(self, plan: Plan, rows: Sequence[EncodedRow]) -> int:
        shape = self._shape(plan)
        if len(rows) >= BY_LOAD and plan.stored and self._may_load():
            return loaddata.load(self._session, shape, rows)
        return self._pieces(shape.insert, rows)

    def load(self, plan: Plan, encoded: Encoded) -> int:
        return self.insert(plan, plan.encode_rows(encoded.decoded().rows))

    def delete(self, plan: Plan, keys: Sequence[EncodedRow]) -> int:
        shape = self._shape(plan)
        if len(keys) == 1:
            return self._run(f"DELETE FROM {shape.table} WHERE {self._found(plan, shape, keys[0])} LIMIT 1")
        names = [f"k{n}" for n in range(len(plan.matched))]
        before = f"DELETE t FROM ({self._given(names)}"
        after = f") AS s STRAIGHT_JOIN {shape.table} AS t ON {shape.joined}"
        return self._pieces(before, keys, after, self._word)

    def update(
        self, plan: Plan, assigned: tuple[int, ...], keys: Sequence[EncodedRow], rows: Sequence[EncodedRow]
    ) -> int:
        shape = self._shape(plan)
        if len(keys) == 1:
            sets = shape.assigned(assigned, [literal(rows[0][i]) for i in assigned])
            return self._run(f"UPDATE {shape.table} SET {sets} WHERE {self._found(plan, shape, keys[0])} LIMIT 1")
        names = [f"k{n}" for n in range(len(plan.matched))] + [f"v{n}" for n in range(len(assigned))]
        sets = shape.assigned(assigned, [f"s.v{n}" for n in range(len(assigned))], "t.")
        values = [(*key, *(row[i] for i in assigned)) for key, row in zip(keys, rows, strict=True)]
        before = f"UPDATE ({self._given(names)}"
        after = f") AS s STRAIGHT_JOIN {shape.table} AS t ON {shape.joined} SET {sets}"
        return self._pieces(before, values, after, self._word)

    def fetch(self, plan: Plan, columns: tuple[int, ...], key: EncodedRow) -> Sequence[Any] | None:
        shape = self._shape(plan)
        read = [shape.columns[i].read for i in columns]
        wanted = ", ".join(each.expression for each in read) or "1"
        cursor = self._session.execute(f"SELECT {wanted} FROM {shape.table} WHERE {self._found(plan, shape, key)}")
        found: Sequence[Any] | None = cursor.fetchone()
        if found is None:
            return None
        return [None if value is None else each.convert(value) for each, value in zip(read, found, strict=False)]

    # One row by its key, and many by a join with theirs

    @staticmethod
    def _found(plan: Plan, shape: Shape, key: EncodedRow) -> str:
        if plan.table.key:
            return " AND ".join(column.equal(literal(v)) for column, v in zip(shape.key, key, strict=True))
        return " AND ".join(column.same(v) for column, v in zip(shape.key, key, strict=True)) or "TRUE"

    @staticmethod
    def _given(names: Sequence[str]) -> str:
        """A table whose first, empty part names the columns of the rows behind it."""
        return f"SELECT {', '.join(f'NULL AS {name}' for name in names)} FROM DUAL WHERE FALSE UNION ALL VALUES "

    @property
    def _word(self) -> str:
        return self._session.flavor.row_word

    def _pieces(self, before: str, rows: Sequence[EncodedRow], after: str = "", word: str = "") -> int:
        """One statement for as many rows as it may have, then another."""
        return sum(self._run(before + ", ".join(piece) + after) for piece in self._cut(rows, word))

    def _cut(self, rows: Sequence[EncodedRow], word: str) -> Iterator[list[str]]:
        limit = self._limit()
        piece: list[str] = []
        size = 0
        for row in rows:
            text = f"{word}({literals(row)})"
            if piece and (len(piece) == STATEMENT_ROWS or size + len(text) > limit):
                yield piece
                piece, size = [], 0
            piece.append(text)
            size += len(text)
        if piece:
            yield piece

    def _limit(self) -> int:
        return min(STATEMENT_BYTES, self._packet() // 4)

    def _packet(self) -> int:
        if not self._bytes:
            self._bytes = int(self._session.setting("max_allowed_packet"))
        return self._bytes

    def _may_load(self) -> bool:
        if self._loads is None:
            self._loads = bool(self._session.setting("local_infile"))
        return self._loads

    def _run(self, statement: str) -> int:
        """Raises the server's own error for a statement that is too large: it ends the connection before it says so."""
        if 4 * len(statement) >= self._packet() and len(statement.encode()) >= self._packet():
            raise pymysql.err.DataError(TOO_LARGE, "the statement is larger than max_allowed_packet")
        cursor = self._session.execute(statement)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def _shape(self, plan: Plan) -> Shape:
        known = self._shapes.get(id(plan))
        if known is not None and known[0] is plan:
            return known[1]
        shape = Shape.of(self._session, plan)
        self._shapes[id(plan)] = plan, shape
        return shape
