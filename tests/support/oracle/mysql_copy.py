"""MySQL and MariaDB copies of PostgreSQL's tables: are their rows equal?

PostgreSQL prints its values by `postgres.py`, in the form that a file is to hold; the copy's server prints its own; by
rules restated here both come to one form. Nothing of the product is used.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.support.oracle import mysql, postgres
from tests.support.oracle.compare import _carried, _diff, _pairs, _split
from tests.support.oracle.text import NULL, escape, float_text

_MOMENTS = ("datetime", "timestamp", "time")


def differences(pg_url: str, connection: Any, wanted: Mapping[str, str] | Sequence[str] | None = None) -> list[str]:
    """What differs, one text per table that differs. Rows are compared as multisets: duplicates count."""
    found = []
    for table, copy in _pairs(pg_url, wanted):
        source = postgres.Table(pg_url, *_split(table))
        columns = _carried(source)
        kinds = dict(mysql.columns(connection, copy))
        if set(columns) != set(kinds) - {"_replicator_digest"}:
            found.append(f"{table}: the source has {sorted(columns)}, the copy {sorted(kinds)}")
            continue
        printed = Counter(_of_postgres(source, columns, kinds))
        theirs = Counter(_of_copy(connection, copy, columns, source, kinds))
        if printed != theirs:
            found.append(_diff(table, columns, printed, theirs))
    return found


def _of_postgres(source: postgres.Table, columns: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    lines = []
    for line in source.dump(columns):
        fields = line.split("\t")
        for at, name in enumerate(columns):
            if fields[at] != NULL:
                fields[at] = _common(source.column(name).type, kinds[name], fields[at])
        lines.append("\t".join(fields))
    return lines


def _common(kind: postgres.Type, kept: str, field: str) -> str:
    if kind.base == "timestamptz":
        return field.removesuffix("Z")
    if kept == "bit":
        return str(int(field, 2))
    return _document(kind, _unescape(field)) if _is_document(kind) else field


def _is_document(kind: postgres.Type) -> bool:
    return kind.element is not None or kind.base in ("json", "jsonb") or kind.name == "hstore"


def _document(kind: postgres.Type, text: str) -> str:
    """As Python has it, numbers by their value; an array's instants end in Z in a file, and in +00 here."""
    number = _float_number if _of_floats(kind) else _decimal_number
    common = json.dumps(json.loads(text, parse_float=number, parse_int=number), sort_keys=True)
    return escape(common.replace('+00"', 'Z"').replace("+00 BC", "Z BC"))


def _of_floats(kind: postgres.Type) -> bool:
    return _of_floats(kind.element) if kind.element is not None else kind.base in postgres.FLOATS


def _float_number(digits: str) -> str:
    return f"number {float(digits)!r}"


def _decimal_number(digits: str) -> str:
    return f"number {Decimal(digits).normalize()}"


_UNESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


def _unescape(field: str) -> str:
    return re.sub(r"\\(.)", lambda found: _UNESCAPED.get(found[1], found[1]), field)


def _of_copy(
    connection: Any, table: str, columns: Sequence[str], source: postgres.Table, kinds: Mapping[str, str]
) -> list[str]:
    printed = ", ".join(mysql._printing(f"`{name.replace('`', '``')}`", kinds[name]) for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {printed or '1'} FROM `{table.replace('`', '``')}`")
        rows = list(cursor)
    return [
        "\t".join(
            _field(source.column(name).type, kinds[name], value) for name, value in zip(columns, row, strict=False)
        )
        for row in rows
    ]


def _field(kind: postgres.Type, kept: str, value: Any) -> str:
    if value is None:
        return NULL
    if kept in mysql._BYTES:
        return escape("\\x" + value.lower())
    if kept in ("float", "double"):
        return float_text(mysql._float(mysql._shortest(value) if kept == "float" else float(value)))
    if _is_document(kind):
        return _document(kind, value)
    if kept in _MOMENTS:
        return str(value).rstrip("0").rstrip(".") if "." in str(value) else str(value)
    return escape(str(value))
