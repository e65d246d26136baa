"""A table as it is at the target: how each column is compared, read and loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from replicator.engines.mysql.literals import literal
from replicator.engines.mysql.names import quote, quote_all
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.types import SPATIAL
from replicator.errors import CannotApply
from replicator.model.values import Value
from replicator.sql.plan import Plan

_COLUMNS = """
SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, NUMERIC_PRECISION, NUMERIC_SCALE, EXTRA
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s
"""
_BYTES = frozenset(("tinyblob", "blob", "mediumblob", "longblob", "binary", "varbinary"))
_OPAQUE = frozenset((*SPATIAL, "vector"))
_CASTS = {"date": "DATE", "datetime": "DATETIME(6)", "timestamp": "DATETIME(6)", "time": "TIME(6)"}


@dataclass(frozen=True)
class Read:
    """How a value is fetched: the expression, and what makes it what an encoder gives."""

    expression: str
    convert: Callable[[Any], Any]


@dataclass(frozen=True)
class TargetColumn:
    """`charset`, `collation`: of a text. `digits`: of a decimal, in all and of its fraction. `moves`: an update
    that does not name it gives it the present time. `exact`: the server's collation that no two texts are equal to."""

    name: str
    type: str
    charset: str | None
    collation: str | None
    digits: tuple[int, int] | None
    moves: bool
    exact: str

    def equal(self, given: str, table: str = "") -> str:
        """The condition that finds a key's value through its index. `given`: an expression."""
        return f"{table}{quote(self.name)} = {self._as_ours(given)}"

    def _as_ours(self, given: str) -> str:
        if self.charset is not None:
            if self.charset != "utf8mb4":
                given = f"CONVERT({given} USING {self.charset})"
            return f"{given} COLLATE {self.collation}"
        if self.type in _CASTS:
            return f"CAST({given} AS {_CASTS[self.type]})"
        if self.digits is not None:  # as doubles, which decimals and texts are compared as, two keys may be the same
            return f"CAST({given} AS DECIMAL({self.digits[0]}, {self.digits[1]}))"
        return given

    def same(self, value: Value) -> str:
        """Is it the very value, as the server keeps it? Of 0.0 and -0.0, which are equal, one was meant."""
        name = quote(self.name)
        if value is None:
            return f"{name} IS NULL"
        given = literal(value)
        if self.charset is not None:
            return f"CONVERT({name} USING utf8mb4) COLLATE {self.exact} = {given} COLLATE {self.exact}"
        if self.type == "json":
            return f"{self._text(name)} = {self._text(f'CAST({given} AS JSON)')}"
        if self.type in _OPAQUE:
            return f"HEX({name}) = HEX({given})"
        if self.type in ("float", "double") and value == 0 and isinstance(value, float):
            sign = "-0" if math.copysign(1.0, value) < 0 else "0"
            return f"{name} = 0 AND CAST({name} AS CHAR) = '{sign}'"
        return f"{name} = {self._as_ours(given)}"

    def _text(self, expression: str) -> str:
        return f"CAST({expression} AS CHAR CHARACTER SET utf8mb4) COLLATE {self.exact}"

    @property
    def read(self) -> Read:
        name = quote(self.name)
        if self.type in _BYTES or self.type in _OPAQUE:
            return Read(f"HEX({name})", bytes.fromhex)
        if self.type in ("float", "double"):
            return Read(f"{name} * 1e0", float)
        if self.type in ("bit", "year") or self.type.endswith("int"):
            return Read(f"{name} + 0", int)
        return Read(f"CONVERT({name} USING utf8mb4)" if self.charset else f"CAST({name} AS CHAR)", str)

    @property
    def loaded(self) -> str | None:
        """What LOAD DATA makes of its field, with a place for it; None for the field as it is."""
        if self.type in _BYTES or self.type in _OPAQUE:
            return "UNHEX({})"
        # The text 0 would be the year 2000, and the text of a number a text to BIT.
        return "CAST({} AS UNSIGNED)" if self.type in ("bit", "year") else None


class Shape:
    def __init__(self, plan: Plan, columns: dict[str, TargetColumn]) -> None:
        self.table = quote(plan.target.name)
        self.columns = [columns[name] for name in plan.stored]
        self.key = [columns[name] for name in plan.matched]
        self.insert = f"INSERT INTO {self.table} ({quote_all(plan.stored)}) VALUES "
        self.joined = " AND ".join(column.equal(f"s.k{n}", "t.") for n, column in enumerate(self.key))
        self.moving = [(at, name) for at, name in enumerate(plan.stored) if columns[name].moves]
        other = next((name for name in plan.stored if name not in plan.table.key), plan.stored[0])
        self._nothing = other

    def assigned(self, columns: Sequence[int], values: Sequence[str], table: str = "") -> str:
        """The assignments of an update. A column that would move by itself is held; where nothing is assigned, one that
        changes nothing stands for it: the row must be there all the same."""
        names = [self.columns[at].name for at in columns]
        sets = [f"{table}{quote(name)} = {value}" for name, value in zip(names, values, strict=True)]
        held = [name for at, name in self.moving if at not in columns]
        if not sets and not held:
            held = [self._nothing]
        return ", ".join(sets + [f"{table}{quote(name)} = {table}{quote(name)}" for name in held])

    @classmethod
    def of(cls, session: TargetSession, plan: Plan) -> Shape:
        """Raises CannotApply where a column is gone: what was checked at the start may have changed since."""
        found = session.execute(_COLUMNS, (plan.target.name,)).fetchall()
        exact = session.flavor.exact_collation
        columns = {row[0]: _column(exact, *row) for row in found}
        for name in plan.stored:
            if name not in columns:
                raise CannotApply(
                    f"{plan.table.name}: the target table {plan.target.name} has no column {name}, or is gone",
                    remedy="make it as it was; or copy the table anew",
                )
        return cls(plan, columns)


def _column(
    exact: str,
    name: str,
    kind: str,
    charset: str | None,
    collation: str | None,
    precision: int | None,
    scale: int | None,
    extra: str,
) -> TargetColumn:
    kind = kind.lower()
    digits = (int(precision), int(scale or 0)) if kind == "decimal" and precision is not None else None
    return TargetColumn(name, kind, charset, collation, digits, "on update" in extra.lower(), exact)
