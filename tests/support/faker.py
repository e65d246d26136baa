"""Random schemas and rows for PostgreSQL, from a given `random.Random`, so that a failure can be repeated."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.support.faker_types import (
    EXTENSION_TYPES,
    PG_TYPES,
    PROBES,
    UNREPRESENTABLE,
    USER_TYPES,
    edge_values,
    literal,
    prepare,
)

__all__ = [
    "EXTENSION_TYPES",
    "KEY_TYPES",
    "PG_TYPES",
    "UNREPRESENTABLE",
    "USER_TYPES",
    "ColumnSpec",
    "TableSpec",
    "edge_values",
    "literal",
    "prepare",
    "random_literal",
    "random_table",
]

KEY_TYPES = (
    *("smallint", "integer", "bigint", "numeric", "text", "varchar(20)", "char(5)", "bytea", "uuid", "date"),
    *("timestamp", "timestamptz", "boolean", "mood", "positive", "inet"),
)
NAMES = (
    *("plain", "Mixed", "with space", "order", 'quo"te', "it's", "per%cent %s", "back\\slash", "semi;colon"),
    *("tab\there", "naïve", "😀", "1st", "back`tick", "[brackets]", "dot.ted", "_", "colon :x", "dollar$1"),
)
LONGEST_IN_KEY = 400
ALPHABET = "abcXYZ019 _-'\"\\%{},()[]:;\t\néßΩ漢😀"


def random_literal(rng: random.Random, kind: str) -> str:
    """A literal of the type, never NULL: at the edges now and then, else anything that is representable."""
    edges = PG_TYPES.get(kind)
    maker = MAKERS.get(kind)
    if maker is not None and (edges is None or rng.random() < 0.75):
        return literal(maker(rng), kind)
    if kind.endswith("[]") and (edges is None or rng.random() < 0.75):
        return _array(rng, kind.removesuffix("[]"))
    if edges is None:
        raise LookupError(f"nothing is known about the type {kind}")
    return rng.choice(edges)


def _array(rng: random.Random, element: str) -> str:
    """Of up to three dimensions, elements NULL now and then."""
    sizes = [rng.randint(1, 3) for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))]

    def block(rest: Sequence[int]) -> str:
        if not rest:
            return "NULL" if rng.random() < 0.1 else random_literal(rng, element)
        return f"[{', '.join(block(rest[1:]) for _ in range(rest[0]))}]"

    return f"ARRAY{block(sizes)}::{element}[]" if sizes else f"'{{}}'::{element}[]"


def _text(rng: random.Random, longest: int = 30) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, longest)))


def _numeric(rng: random.Random) -> str:
    digits = rng.randint(1, rng.choice((5, 20, 60)))
    number = str(rng.randrange(10**digits))
    scale = rng.randint(0, 12)
    return rng.choice(("", "-")) + number + (f".{rng.randrange(10**scale):0{scale}}" if scale else "")


def _float(rng: random.Random, exponent: int) -> str:
    value = rng.uniform(-10, 10) * 10.0 ** rng.randint(-exponent, exponent)
    return repr(value + 0.0)


def _date(rng: random.Random) -> str:
    return f"{rng.randint(1, 9999):04}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _time(rng: random.Random) -> str:
    fraction = rng.choice(("", "", f".{rng.randrange(10**6):06}"))
    return f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}{fraction}"


def _interval(rng: random.Random) -> str:
    units = rng.sample(("years", "mons", "days", "hours", "mins", "secs"), rng.randint(1, 4))
    return " ".join(f"{rng.randint(-99, 99)} {unit}" for unit in units)


def _json(rng: random.Random, depth: int = 0) -> str:
    """JSON as text, so that the spacing is random too."""
    space = rng.choice(("", "", " ", "\n"))
    plain = (
        "null",
        "true",
        "false",
        str(rng.randint(-(10**20), 10**20)),
        _float(rng, 20),
        '"é\\n\\"x"',
        '""',
    )
    if depth > 2 or rng.random() < 0.5:
        return rng.choice(plain)
    inner = [_json(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if rng.random() < 0.5:
        return f"[{space}" + f",{space}".join(inner) + "]"
    return f"{{{space}" + f",{space}".join(f'"{rng.choice("abc")}":{value}' for value in inner) + "}"


def _range(rng: random.Random) -> str:
    low, high = sorted(rng.randint(-1000, 1000) for _ in range(2))
    return f"{rng.choice('[(')}{rng.choice((low, low, ''))},{rng.choice((high, high, ''))}{rng.choice('])')}"


def _within(bits: int) -> Callable[[random.Random], str]:
    return lambda rng: str(rng.randint(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))


def _bits(least: int, most: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choice("01") for _ in range(rng.randint(least, most)))


MAKERS: dict[str, Callable[[random.Random], str]] = {
    "smallint": _within(16),
    "integer": _within(32),
    "bigint": _within(64),
    "numeric": _numeric,
    "numeric(10,2)": lambda rng: f"{rng.randint(-99999999, 99999999)}.{rng.randint(0, 99):02}",
    "real": lambda rng: _float(rng, 30),
    "double precision": lambda rng: _float(rng, 300),
    "money": lambda rng: f"{rng.randint(-(10**12), 10**12)}.{rng.randint(0, 99):02}",
    "char(5)": lambda rng: _text(rng, 5),
    "char(3)": lambda rng: _text(rng, 3),
    "varchar(5)": lambda rng: _text(rng, 5),
    "varchar(20)": lambda rng: _text(rng, 20),
    "varchar": _text,
    "text": lambda rng: _text(rng, rng.choice((5, 50, 3000))),
    "bytea": lambda rng: "\\x" + rng.randbytes(rng.choice((0, 1, 16, 300))).hex(),
    "date": _date,
    "time": _time,
    "timetz": lambda rng: f"{_time(rng)}{rng.choice('+-')}{rng.randint(0, 14):02}",
    "timestamp": lambda rng: f"{_date(rng)} {_time(rng)}",
    "timestamptz": lambda rng: f"{_date(rng)} {_time(rng)}{rng.choice('+-')}{rng.randint(0, 14):02}",
    "interval": _interval,
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128))),
    "json": _json,
    "jsonb": _json,
    "bit(12)": _bits(12, 12),
    "varbit": _bits(0, 100),
    "inet": lambda rng: ".".join(str(rng.randint(0, 255)) for _ in range(4)),
    "int4range": _range,
    "int8range": _range,
    "numrange": _range,
    "positive": lambda rng: str(rng.randint(1, 2**31 - 1)),
    "point": lambda rng: f"({_float(rng, 9)},{_float(rng, 9)})",
}


@dataclass(frozen=True)
class ColumnSpec:
    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class TableSpec:
    """A table that can describe and fill itself. All statements are plain SQL, free of parameters."""

    name: str
    columns: tuple[ColumnSpec, ...]
    key: tuple[str, ...]

    @property
    def quoted(self) -> str:
        return quoted(self.name)

    @property
    def ddl(self) -> list[str]:
        """The statements that make the table, once `prepare` has made the types."""
        parts = [
            f"{quoted(column.name)} {column.type}{'' if column.nullable else ' NOT NULL'}" for column in self.columns
        ]
        if self.key:
            parts.append(f"PRIMARY KEY ({', '.join(map(quoted, self.key))})")
            return [f"CREATE TABLE {self.quoted} ({', '.join(parts)})"]
        return [
            f"CREATE TABLE {self.quoted} ({', '.join(parts)})",
            f"ALTER TABLE {self.quoted} REPLICA IDENTITY FULL",
        ]

    def insert(self, rng: random.Random, rows: int = 1) -> str:
        """Some rows; those whose key is taken are left out."""
        values = ", ".join(f"({', '.join(self._value(rng, column) for column in self.columns)})" for _ in range(rows))
        names = ", ".join(quoted(column.name) for column in self.columns)
        return f"INSERT INTO {self.quoted} ({names}) VALUES {values} ON CONFLICT DO NOTHING"

    def update(self, rng: random.Random, rows: int) -> str:
        """One of the first `rows` rows gets other values, at times another key; no row if there are fewer."""
        free = [column for column in self.columns if column.name not in self.key]
        chosen = rng.sample(free, rng.randint(1, len(free))) if free else []
        values = {column.name: self._value(rng, column) for column in chosen}
        guard = ""
        if self.key and (not free or rng.random() < 0.2):
            moved = {column.name: self._value(rng, column) for column in self.columns if column.name in self.key}
            taken = " AND ".join(f"{quoted(name)} = {value}" for name, value in moved.items())
            guard = f" AND NOT EXISTS (SELECT FROM {self.quoted} WHERE {taken})"
            values |= moved
        changes = ", ".join(f"{quoted(name)} = {value}" for name, value in values.items())
        return f"UPDATE {self.quoted} SET {changes} WHERE {self._one(rng, rows)}{guard}"

    def delete(self, rng: random.Random, rows: int) -> str:
        """One of the first `rows` rows goes; no row if there are fewer."""
        return f"DELETE FROM {self.quoted} WHERE {self._one(rng, rows)}"

    def _one(self, rng: random.Random, rows: int) -> str:
        place = rng.randrange(max(rows, 1))
        return f"ctid = (SELECT ctid FROM {self.quoted} ORDER BY ctid OFFSET {place} LIMIT 1)"

    def _value(self, rng: random.Random, column: ColumnSpec) -> str:
        if column.nullable and rng.random() < 0.15:
            return f"NULL::{column.type}"
        while True:
            value = random_literal(rng, column.type)
            if column.name not in self.key or len(value) <= LONGEST_IN_KEY:
                return value


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def random_table(
    rng: random.Random,
    name: str | None = None,
    types: Sequence[str] | None = None,
    *,
    most_columns: int = 12,
    keyless: float = 0.15,
) -> TableSpec:
    """A table of some columns of all types (or of those given, say what `prepare` returned for a server).

    With a key of one to three columns, or, with the probability `keyless`, none, and REPLICA IDENTITY FULL.
    """
    known = sorted(types if types is not None else set(PG_TYPES).difference(PROBES))
    stems = rng.sample(NAMES, k=min(len(NAMES), most_columns + 4))
    columns: list[ColumnSpec] = []

    def add(kind: str, nullable: bool) -> None:
        number = len(columns)
        stem = stems[number] if number < len(stems) else "column"
        columns.append(ColumnSpec(f"{stem} {number}" if rng.random() < 0.5 else f"c{number}", kind, nullable))

    keys = 0 if rng.random() < keyless else rng.choice((1, 1, 1, 2, 3))
    possible = [kind for kind in KEY_TYPES if types is None or kind in known]
    for kind in rng.sample(possible, k=min(keys, len(possible))):
        add(kind, nullable=False)
    key = tuple(column.name for column in columns)
    for _ in range(rng.randint(0 if columns else 1, most_columns)):
        add(rng.choice(known), nullable=rng.random() < 0.7)
    rng.shuffle(columns)
    table = name if name is not None else f"{rng.choice(NAMES)} {rng.randrange(10**6)}"
    return TableSpec(table, tuple(columns), key)
