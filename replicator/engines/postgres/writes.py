"""How a PostgreSQL target is written: COPY for inserts, `unnest` for many updates and deletes, literals for a few rows.

Every value stands in its text form. COPY's input converts as an assignment does; in the other statements a text is cast
to the column's type without its modifier, and the assignment to the column does the rest: an explicit cast to
`varchar(3)` would cut a longer text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from replicator import remedies
from replicator.engines.postgres.failures import NotByUpdate, told
from replicator.engines.postgres.names import quote, quote_all, quote_table
from replicator.engines.postgres.session import TargetSession
from replicator.errors import CannotApply
from replicator.model.change import Encoded
from replicator.model.values import Value
from replicator.sql import digest
from replicator.sql.plan import EncodedRow, Plan
from replicator.sql.statements import text_literal

COPY_BYTES = 1 << 18
BY_LITERAL = 4
"""So many rows go into one INSERT of literals; more are copied, which takes a round trip more."""
_IN_COPY = re.compile(r"[\\\t\n\r]")
_IN_ARRAYS = re.compile(r'[\\"]')
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_ARRAY_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"'})
_COLUMNS = """
WITH RECURSIVE typed AS (
  SELECT attname, attnum, attidentity = 'a' AS always, atttypid AS type FROM pg_catalog.pg_attribute
  WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT attname, attnum, always, typbasetype FROM typed JOIN pg_catalog.pg_type d ON d.oid = type WHERE typtype = 'd')
SELECT t.attname, pg_catalog.format_type(t.type, -1), t.always,
  (SELECT 'OPERATOR(' || quote_ident(n.nspname) || '.' || o.oprname || ')'
   FROM pg_catalog.pg_opclass c JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
   JOIN pg_catalog.pg_amop a ON a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype
     AND a.amoprighttype = c.opcintype AND a.amopstrategy = 3
   JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
   WHERE c.opcdefault AND c.opcintype = t.type AND n.nspname <> 'pg_catalog')
FROM typed t JOIN pg_catalog.pg_type b ON b.oid = t.type WHERE b.typtype <> 'd'
"""
"""Domains as the type under them; an operator where that of the type is an extension's own (citext)."""


@dataclass(frozen=True)
class TargetColumn:
    type: str
    always: bool
    """Is it GENERATED ALWAYS AS IDENTITY? No update may set it."""
    equals: str


class Shape:
    """A table as it is at the target, with what is written of its statements."""

    def __init__(self, plan: Plan, columns: dict[str, TargetColumn]) -> None:
        self.table = quote_table(plan.target)
        self.columns = [columns[name] for name in plan.stored]
        self.key = [columns[name] for name in plan.matched]
        self.always = frozenset(i for i, column in enumerate(self.columns) if column.always)
        names = f" ({quote_all(plan.stored)})" if plan.stored else ""
        self.copy = f"COPY {self.table}{names} FROM STDIN"
        self.insert = f"INSERT INTO {self.table}{names} OVERRIDING SYSTEM VALUE VALUES "


class PostgresWrites:
    in_order = False

    def __init__(self, session: TargetSession) -> None:
        self._session = session
        self._shapes: dict[int, tuple[Plan, Shape]] = {}

    def reason(self, error: BaseException) -> str:
        return told(error)

    def empty(self, plan: Plan) -> None:
        self._run(f"DELETE FROM {quote_table(plan.target)}")

    def insert(self, plan: Plan, rows: Sequence[EncodedRow]) -> int:
        shape = self._shape(plan)
        if len(rows) <= BY_LITERAL and plan.stored:
            return self._run(shape.insert + ", ".join(f"({', '.join(map(literal, row))})" for row in rows))
        return self._copy(shape, copy_text(rows).encode())

    def load(self, plan: Plan, encoded: Encoded) -> int:
        return self._copy(self._shape(plan), encoded.data)

    def _copy(self, shape: Shape, data: bytes) -> int:
        cursor = self._session.driver.cursor()
        cursor.copy_expert(shape.copy, io.BytesIO(data), size=COPY_BYTES)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def delete(self, plan: Plan, keys: Sequence[EncodedRow]) -> int:
        shape = self._shape(plan)
        if len(keys) == 1:
            return self._run(f"DELETE FROM {shape.table} AS t WHERE {self._found(plan, shape, keys[0])}")
        given, matches = self._joined(plan, shape, keys)
        return self._run(f"DELETE FROM {shape.table} AS t USING {given} WHERE {matches}")

    def update(
        self, plan: Plan, assigned: tuple[int, ...], keys: Sequence[EncodedRow], rows: Sequence[EncodedRow]
    ) -> int:
        shape = self._shape(plan)
        if shape.always.intersection(assigned):
            return self._update_around(plan, shape, assigned, keys, rows)
        if len(rows) == 1:
            return self._run(self._update_one(plan, shape, assigned, keys[0], rows[0]))
        return self._run(self._update_many(plan, shape, assigned, keys, rows))

    def _update_one(
        self, plan: Plan, shape: Shape, assigned: tuple[int, ...], key: EncodedRow, row: EncodedRow, also: str = ""
    ) -> str:
        sets = ", ".join(f"{quote(plan.stored[i])} = {literal(row[i])}" for i in assigned) or _nothing(plan)
        return f"UPDATE {shape.table} AS t SET {sets} WHERE {self._found(plan, shape, key)}{also}"

    def _update_many(
        self,
        plan: Plan,
        shape: Shape,
        assigned: tuple[int, ...],
        keys: Sequence[EncodedRow],
        rows: Sequence[EncodedRow],
        same: tuple[int, ...] = (),
    ) -> str:
        """`same`: columns that must have their value already."""
        values = [(shape.columns[i], [row[i] for row in rows]) for i in (*assigned, *same)]
        given, matches = self._joined(plan, shape, keys, values)
        sets = ", ".join(
            f"{quote(plan.stored[i])} = {_cast(f'v{n}', shape.columns[i])}" for n, i in enumerate(assigned)
        )
        for n, i in enumerate(same, len(assigned)):
            matches += f" AND t.{quote(plan.stored[i])} IS NOT DISTINCT FROM {_cast(f'v{n}', shape.columns[i])}"
        return f"UPDATE {shape.table} AS t SET {sets or _nothing(plan)} FROM {given} WHERE {matches}"

    def _update_around(
        self,
        plan: Plan,
        shape: Shape,
        assigned: tuple[int, ...],
        keys: Sequence[EncodedRow],
        rows: Sequence[EncodedRow],
    ) -> int:
        """No update sets an identity column that is GENERATED ALWAYS: where it stays as it is, it is left out."""
        if not plan.table.key:
            return self.insert(plan, rows) if self.delete(plan, keys) == len(keys) else 0
        same = tuple(i for i in assigned if i in shape.always)
        others = tuple(i for i in assigned if i not in shape.always)
        hit = self._run(self._update_many(plan, shape, others, keys, rows, same))
        if hit != len(rows):
            raise NotByUpdate
        return hit

    def fetch(self, plan: Plan, columns: tuple[int, ...], key: EncodedRow) -> Sequence[Any] | None:
        shape = self._shape(plan)
        wanted = ", ".join(f"{quote(plan.stored[i])}::text" for i in columns) or "1"
        cursor = self._session.driver.cursor()
        cursor.execute(f"SELECT {wanted} FROM {shape.table} AS t WHERE {self._found(plan, shape, key)}")
        found: Sequence[Any] | None = cursor.fetchone()
        return found

    # One row by its key, and many by a join with theirs

    def _found(self, plan: Plan, shape: Shape, key: EncodedRow) -> str:
        if plan.table.key:
            return " AND ".join(
                f"t.{quote(name)} {column.equals} {_typed(value, column)}"
                for name, column, value in zip(plan.matched, shape.key, key, strict=True)
            )
        return f"t.ctid = (SELECT t.ctid FROM {shape.table} AS t WHERE {_same_row(plan, shape, key)} LIMIT 1)"

    def _joined(
        self,
        plan: Plan,
        shape: Shape,
        keys: Sequence[EncodedRow],
        values: Sequence[tuple[TargetColumn, Sequence[Any]]] = (),
    ) -> tuple[str, str]:
        """The relation with `k0, k1, ...` and `v0, v1, ...` as texts, and the condition that joins it by the key."""
        arrays = [_array(column) for column in zip(*keys, strict=True)] + [_array(column) for _, column in values]
        names = [f"k{n}" for n in range(len(plan.matched))] + [f"v{n}" for n in range(len(values))]
        given = f"unnest({', '.join(arrays)}) AS s ({', '.join(names)})"
        matches = " AND ".join(
            f"t.{quote(name)} {column.equals} {_cast(f'k{n}', column)}"
            for n, (name, column) in enumerate(zip(plan.matched, shape.key, strict=True))
        )
        return given, matches

    def _run(self, statement: str) -> int:
        cursor = self._session.driver.cursor()
        cursor.execute(statement)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def _shape(self, plan: Plan) -> Shape:
        known = self._shapes.get(id(plan))
        if known is not None and known[0] is plan:
            return known[1]
        found = self._session.execute(_COLUMNS, (quote_table(plan.target),)).fetchall()
        columns = {name: TargetColumn(kind, always, equals or "=") for name, kind, always, equals in found}
        self._check(plan, columns)
        shape = Shape(plan, columns)
        self._shapes[id(plan)] = plan, shape
        return shape

    @staticmethod
    def _check(plan: Plan, columns: dict[str, TargetColumn]) -> None:
        """What was checked at the start may have changed since."""
        for name in plan.stored:
            if name not in columns:
                raise CannotApply(
                    f"{plan.table.name}: the target table {plan.target} has no column {name}, or is gone",
                    remedy="make it as it was; or copy the table anew",
                )
        for column, storage in zip(plan.table.columns, plan.storages, strict=True):
            if (storage.type == "bytea") != (columns[column.name].type == "bytea"):
                raise CannotApply(
                    f"{plan.table.name}.{column.name}: the target's column is {columns[column.name].type}, and its "
                    f"values are to be kept as {storage.type}",
                    remedy=f"copy the table anew: {remedies.recopy(plan.table.name)}",
                )


def _nothing(plan: Plan) -> str:
    """An assignment that changes nothing, for an update that has none: the row must be there all the same."""
    name = next((name for name in plan.stored if name not in plan.table.key), plan.stored[0])
    return f"{quote(name)} = t.{quote(name)}"


def _same_row(plan: Plan, shape: Shape, row: EncodedRow) -> str:
    """Equal in the text of every column: of two numbers that are equal, `1.0` and `1.00`, only one was meant."""
    conditions = []
    for name, column, value in zip(plan.matched, shape.key, row, strict=True):
        if name == digest.COLUMN:
            conditions.append(f"t.{quote(name)} = {_typed(value, column)}")
        elif value is None:
            conditions.append(f"t.{quote(name)} IS NULL")
        else:
            conditions.append(f't.{quote(name)}::text COLLATE "C" = {_typed(value, column)}::text')
    return " AND ".join(conditions)


def _cast(name: str, column: TargetColumn) -> str:
    return f"s.{name}" if column.type == "text" else f"s.{name}::{column.type}"


def _typed(value: Value, column: TargetColumn) -> str:
    return f"{literal(value)}::{column.type}"


# Values as text


def text_of(value: Any) -> str:
    if value.__class__ is str:
        return value
    if value.__class__ is bool:
        return "t" if value else "f"
    if value.__class__ is bytes:
        return "\\x" + value.hex()
    return repr(value) if value.__class__ is float else str(value)


def literal(value: Value) -> str:
    return "NULL" if value is None else text_literal(text_of(value))


_RENDER: dict[type, Callable[[Iterable[Any]], Iterable[str]]] = {
    int: lambda column: map(str, column),
    float: lambda column: map(repr, column),
    bool: lambda column: map({True: "t", False: "f"}.__getitem__, column),
}
"""A whole column of one kind at once, of texts that need no quotes anywhere."""


def _array(column: Sequence[Value]) -> str:
    """A literal of type text[]."""
    kinds = set(map(type, column))
    if len(kinds) == 1 and (render := _RENDER.get(*kinds)) is not None:
        return "'{" + ",".join(render(column)) + "}'::text[]"
    if kinds == {str} and _IN_ARRAYS.search("\0".join(column)) is None:  # type: ignore[arg-type]
        body = '"' + '","'.join(column) + '"'  # type: ignore[arg-type]
    else:
        body = ",".join(
            "NULL" if value is None else '"' + text_of(value).translate(_ARRAY_ESCAPES) + '"' for value in column
        )
    return text_literal("{" + body + "}") + "::text[]"


def _copied(column: Sequence[Any]) -> Iterable[str]:
    """A column's fields in COPY's text format, by what is in it."""
    kinds = set(map(type, column))
    if len(kinds) == 1:
        if (render := _RENDER.get(*kinds)) is not None:
            return render(column)
        if kinds == {str}:
            plain = _IN_COPY.search("\0".join(column)) is None
            return column if plain else [value.translate(_COPY_ESCAPES) for value in column]
    return ["\\N" if value is None else text_of(value).translate(_COPY_ESCAPES) for value in column]


def copy_text(rows: Sequence[EncodedRow]) -> str:
    """Rows as COPY's text format (https://www.postgresql.org/docs/current/sql-copy.html), column by column."""
    columns = [_copied(column) for column in zip(*rows, strict=True)]
    if not columns:
        return "\n" * len(rows)
    return "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"
