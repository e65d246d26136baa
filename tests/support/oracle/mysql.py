"""The MySQL and MariaDB end of the oracle, beside SQLite and PostgreSQL copies of its tables.

It shares no code with the product. The server itself prints each value; by rules restated here both ends are brought
to one form: whole numbers and texts as they are, floats as their eight bytes, bytes in hexadecimal, JSON as a Python
value.
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

Cell = Any
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector")
_SPATIAL = (
    *("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon"),
    *("geometrycollection", "geomcollection"),
)
_WHOLE = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")


def columns(connection: Any, table: str) -> list[tuple[str, str]]:
    """Names and types of the columns that are copied."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() "
            "AND TABLE_NAME = %s AND COALESCE(GENERATION_EXPRESSION, '') = '' ORDER BY ORDINAL_POSITION",
            (table,),
        )
        return list(cursor.fetchall())


def source_rows(connection: Any, table: str) -> Counter[tuple[Cell, ...]]:
    """The rows of a table in the common form."""
    found = columns(connection, table)
    printed = ", ".join(_printing(f"`{name.replace('`', '``')}`", kind) for name, kind in found)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute(f"SELECT {printed} FROM `{table.replace('`', '``')}`")
        return Counter(tuple(_of_source(kind, v) for (_, kind), v in zip(found, row, strict=True)) for row in cursor)


def _printing(name: str, kind: str) -> str:
    if kind in _BYTES or kind in _SPATIAL:
        return f"HEX({name})"
    if kind == "bit":
        return f"CAST({name} + 0 AS CHAR)"
    if kind in ("float", "double"):
        return f"{name} * 1e0"
    return f"CONVERT({name} USING utf8mb4)"


def _of_source(kind: str, value: Any) -> Cell:
    if value is None:
        return None
    if kind in _WHOLE or kind == "bit":
        return int(value)
    if kind in ("float", "double"):
        return _float(_shortest(value) if kind == "float" else float(value))
    if kind in ("datetime", "timestamp", "time"):
        cut = value.rstrip("0").rstrip(".") if "." in value else value
        return f"{cut}Z" if kind == "timestamp" else cut
    if kind == "json":
        return _json(value)
    return _ewkb(value) if kind in _SPATIAL else value


def _shortest(value: float) -> float:
    """The shortest decimal that is this number of 32 bits."""
    raw = struct.pack("<f", value)
    return next(found for n in range(1, 10) if _single(found := float(f"{value:.{n}g}")) == raw)


def _single(value: float) -> bytes:
    """Rounding may lead beyond the greatest number of 32 bits."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return b""


def _float(value: float) -> str:
    return struct.pack(">d", value).hex()


def _json(text: str) -> str:
    return json.dumps(json.loads(text, parse_float=lambda number: float(number)), sort_keys=True)


def _ewkb(value: str) -> str:
    """From the SRID in four bytes and WKB behind them."""
    srid, body = value[:8], value[8:]
    if srid == "00000000":
        return body
    kind = struct.unpack("<I", bytes.fromhex(body[2:10]))[0] | 0x20000000
    return body[:2] + struct.pack("<I", kind).hex().upper() + srid + body[10:]


def mysql_rows(connection: Any, table: str, kinds: Sequence[tuple[str, str]]) -> Counter[tuple[Cell, ...]]:
    """A copy at such a server: printed by what it is there, and read by what it was."""
    there = dict(columns(connection, table))
    printed = ", ".join(_printing(f"`{name.replace('`', '``')}`", there[name]) for name, _ in kinds)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute(f"SELECT {printed} FROM `{table.replace('`', '``')}`")
        return Counter(tuple(_of_source(kind, v) for (_, kind), v in zip(kinds, row, strict=True)) for row in cursor)


def sqlite_rows(path: Path, table: str, kinds: Sequence[tuple[str, str]]) -> Counter[tuple[Cell, ...]]:
    names = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name, _ in kinds)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
        rows = connection.execute(f'SELECT {names} FROM "{table}"').fetchall()
    return Counter(tuple(_of_sqlite(kind, v) for (_, kind), v in zip(kinds, row, strict=True)) for row in rows)


def _of_sqlite(kind: str, value: Any) -> Cell:
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, bytes):
        return value.hex().upper()
    return _json(value) if kind == "json" and value is not None else value


def postgres_rows(url: str, table: str, kinds: Sequence[tuple[str, str]]) -> Counter[tuple[Cell, ...]]:
    names = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"::text' for name, _ in kinds)
    options = "-c timezone=UTC -c extra_float_digits=3"
    with closing(psycopg2.connect(url, options=options)) as connection, connection.cursor() as cursor:
        cursor.execute(f'SELECT {names} FROM "{table}"')
        rows = cursor.fetchall()
    return Counter(tuple(_of_postgres(kind, v) for (_, kind), v in zip(kinds, row, strict=True)) for row in rows)


_FROM_POSTGRES: dict[str, Callable[[str], Cell]] = {
    **dict.fromkeys(_WHOLE, int),
    **dict.fromkeys((*_BYTES, *_SPATIAL), lambda text: text.removeprefix("\\x").upper()),
    "vector": lambda text: b"".join(struct.pack("<f", float(n)) for n in text.strip("{}").split(",")).hex().upper(),
    "bit": lambda text: int(text, 2),
    "float": lambda text: _float(float(text)),
    "double": lambda text: _float(float(text)),
    "timestamp": lambda text: text.removesuffix("+00") + "Z",
    "json": _json,
    "set": lambda text: text.strip("{}").replace('"', ""),
    "inet4": lambda text: text.partition("/")[0],
    "inet6": lambda text: text.partition("/")[0],
}


def _of_postgres(kind: str, text: str | None) -> Cell:
    return None if text is None else _FROM_POSTGRES.get(kind, str)(text)
