"""The PostgreSQL end of the oracle: psql, and SQL that prints each type the way SQLite is to hold it.

Values are printed by `format('%s', value)`, which calls the type's output function. A cast to text would not
do: it drops the padding of char(n), appends /32 to an inet, and keeps what the output of xml leaves out.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tests.support.oracle.text import NULL, float_text, in_order

SETTINGS = """
SET client_encoding = 'UTF8';
SET search_path = pg_catalog;
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET standard_conforming_strings = on;
SET statement_timeout = '120s';
"""
NOT_FINITE = "('NaN', 'Infinity', '-Infinity')"
TYPES = """
SELECT json_agg(json_build_array(
    t.oid::int8, n.nspname, t.typname, t.typtype, t.typbasetype::int8,
    CASE WHEN t.typsubscript = 'array_subscript_handler'::regproc
          AND t.typname NOT IN ('int2vector', 'oidvector') THEN t.typelem::int8 ELSE 0 END))
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
"""
INTEGERS = {"int2", "int4", "int8", "oid", "xid", "cid"}
FLOATS = {"float4", "float8"}
MOST_DIMENSIONS = 6


def psql(url: str, sql: str) -> str:
    """Run SQL with psql and return what it prints."""
    done = subprocess.run(
        ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url],
        input=(SETTINGS + sql).encode(),
        capture_output=True,
        env={**os.environ, "PGCLIENTENCODING": "UTF8", "PGAPPNAME": "oracle"},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"psql failed with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Type:
    """One row of pg_type, domains already resolved to what they are made of."""

    schema: str
    name: str
    kind: str
    element: Type | None

    @property
    def base(self) -> str:
        """The name where it is PostgreSQL's own type; empty for all others, whatever they are called."""
        return self.name if self.schema == "pg_catalog" else ""

    @property
    def storage(self) -> str:
        """The storage class that SQLite is to keep it in."""
        if self.base in INTEGERS or self.base == "bool":
            return "integer"
        if self.base in FLOATS:
            return "real"
        return "blob" if self.base == "bytea" else "text"


@dataclass(frozen=True)
class Column:
    name: str
    type: Type
    generated: bool


@dataclass(frozen=True)
class Table:
    """A table as the catalog knows it, with the means to print it."""

    url: str
    schema: str
    name: str

    @cached_property
    def columns(self) -> list[Column]:
        """All columns in their order, generated ones too."""
        where = f"n.nspname = {literal(self.schema)} AND c.relname = {literal(self.name)}"
        found = psql(
            self.url,
            f"""SELECT json_build_object('columns', (
                    SELECT json_agg(json_build_array(attname, atttypid::int8, attgenerated <> '')
                                    ORDER BY attnum)
                    FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
                'types', ({TYPES}))
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {where};""",
        )
        if not found.strip():
            raise LookupError(f"PostgreSQL has no table {self.schema}.{self.name}")
        catalog = json.loads(found)
        types = {row[0]: tuple(row[1:]) for row in catalog["types"]}
        return [Column(name, _type(types, oid), generated) for name, oid, generated in catalog["columns"] or []]

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise LookupError(f"{self.schema}.{self.name} has no column {name!r}")

    def dump(self, columns: Sequence[str], order_by: Sequence[str] = ()) -> list[str]:
        """Every row as a canonical line."""
        chosen = [self.column(name) for name in columns]
        printed = ",\n  ".join(printing(column.type, "t." + quoted(column.name)) for column in chosen)
        table = f"{quoted(self.schema)}.{quoted(self.name)}"
        output = psql(self.url, f"COPY (SELECT\n  {printed}\nFROM {table} AS t) TO STDOUT;")
        lines = [line.split("\t") for line in output.split("\n")[:-1]]
        for at, column in enumerate(chosen):
            if column.type.storage == "real":
                for fields in lines:
                    if fields[at] != NULL:
                        fields[at] = float_text(fields[at])
        return in_order(lines, [list(columns).index(name) for name in order_by])


def _type(types: dict[int, tuple[Any, ...]], oid: int) -> Type:
    schema, name, kind, base, element = types[oid]
    if base:
        return _type(types, base)
    return Type(schema, name, kind, _type(types, element) if element else None)


def printing(kind: Type, x: str) -> str:
    """An SQL expression for the canonical text of `x`; for floats the hex form of their eight bytes."""
    if kind.base in FLOATS:
        return f"encode(float8send(({_text(kind, x, 0)})::float8), 'hex')"
    return _text(kind, x, 0)


def _text(kind: Type, x: str, depth: int) -> str:
    """What SQLite holds for `x`, as text."""
    shown = f"CASE WHEN num_nulls({x}) = 0 THEN format('%s', {x}) END"
    if kind.element is not None:
        return _array(kind.element, x, depth)
    if kind.base == "bool":
        return f"{x}::int::text"
    if kind.base == "timestamptz":
        return f"regexp_replace({shown}, '\\+00( BC)?$', 'Z\\1')"
    if kind.base == "money":
        return f"{x}::numeric::text"
    if kind.name == "hstore":
        return _hstore(kind, x)
    return shown


def _json(kind: Type, x: str, depth: int) -> str:
    """An array's element as JSON."""
    text = _text(kind, x, depth)
    if kind.element is not None or kind.base in INTEGERS or kind.base in ("json", "jsonb"):
        return text
    if kind.base == "bool":
        return f"{x}::text"
    if kind.base in FLOATS or kind.base == "numeric":
        return f"CASE WHEN ({text}) IN {NOT_FINITE} THEN to_json({text})::text ELSE {text} END"
    return f"to_json({text})::text"


def _array(element: Type, x: str, depth: int) -> str:
    """Nested JSON of any number of dimensions.

    `unnest` gives the elements in row order; a bracket opens before, and closes after, every element whose
    number is the first, or last, of a block of that dimension.
    """
    e, i = f"e{depth}", f"i{depth}"
    sizes = ["cardinality({x})"]
    for dimension in range(1, MOST_DIMENSIONS):
        sizes.append(f"{sizes[-1]} / array_length({{x}}, {dimension})")
    blocks = [size.format(x=x) for size in sizes]
    opened = " + ".join(f"coalesce((({i} - 1) % ({block}) = 0)::int, 0)" for block in _existing(blocks, x))
    closed = " + ".join(f"coalesce(({i} % ({block}) = 0)::int, 0)" for block in _existing(blocks, x))
    elements = x
    if element.kind == "c":  # unnest would spread a composite over several columns
        elements, element = f"{x}::text[]", Type("pg_catalog", "text", "b", None)
    value = f"coalesce({_json(element, e, depth + 1)}, 'null')"
    return (
        f"CASE WHEN {x} IS NOT NULL THEN coalesce((SELECT string_agg("
        f"repeat('[', {opened}) || {value} || repeat(']', {closed}), ',' ORDER BY {i})"
        f" FROM unnest({elements}) WITH ORDINALITY AS u{depth}({e}, {i})), '[]') END"
    )


def _existing(blocks: list[str], x: str) -> list[str]:
    """Only dimensions that the array has count: a block is NULL where array_length has none to give."""
    return [f"CASE WHEN array_ndims({x}) > {at} THEN {block} END" for at, block in enumerate(blocks)]


def _hstore(kind: Type, x: str) -> str:
    each = f"{quoted(kind.schema)}.each({x}) WITH ORDINALITY AS h(k, v, n)"
    pair = "to_json(k)::text || ':' || coalesce(to_json(v)::text, 'null')"
    return (
        f"CASE WHEN {x} IS NOT NULL THEN"
        f" '{{' || coalesce((SELECT string_agg({pair}, ',' ORDER BY n) FROM {each}), '') || '}}' END"
    )
