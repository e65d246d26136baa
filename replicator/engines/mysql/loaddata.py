"""Many rows by one LOAD DATA LOCAL (https://dev.mysql.com/doc/refman/9.7/en/load-data.html).

LOCAL turns the errors of strict mode into warnings: doubled keys are left out, long texts cut. So every row must have
been taken, and without a warning; else the first warning is raised as the error that it would have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pymysql

from replicator.engines.mysql.literals import literal
from replicator.engines.mysql.names import quote
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.shape import Shape
from replicator.sql.plan import EncodedRow

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\0": "\\0"})
_FORM = "CHARACTER SET utf8mb4 FIELDS TERMINATED BY x'09' ESCAPED BY x'5c' LINES TERMINATED BY x'0a'"


def load(session: TargetSession, shape: Shape, rows: Sequence[EncodedRow]) -> int:
    """How many rows were written. Raises the driver's error for a row that was not taken as it is."""
    driver = session.driver
    name = driver.offer(file(rows).encode())
    try:
        cursor = session.execute(_statement(name, shape))
        count: int = cursor.rowcount
        if count == len(rows) and not cursor.warning_count:
            return count
        raise _first(driver.show_warnings())
    finally:
        driver.withdraw()


def _statement(name: str, shape: Shape) -> str:
    """Bytes and bits come as hexadecimal and as numbers, in variables."""
    fields, sets = [], []
    for n, column in enumerate(shape.columns):
        quoted = quote(column.name)
        if column.loaded is None:
            fields.append(quoted)
        else:
            fields.append(f"@f{n}")
            sets.append(f"{quoted} = {column.loaded.format(f'@f{n}')}")
    then = f" SET {', '.join(sets)}" if sets else ""
    return f"LOAD DATA LOCAL INFILE {literal(name)} INTO TABLE {shape.table} {_FORM} ({', '.join(fields)}){then}"


def file(rows: Sequence[EncodedRow]) -> str:
    columns = [_fields(column) for column in zip(*rows, strict=True)]
    return "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"


def _fields(column: Sequence[Any]) -> Iterable[str]:
    kinds = set(map(type, column))
    if kinds == {int}:
        return map(str, column)
    if kinds == {str}:
        joined = "\n".join(column)
        plain = "\\" not in joined and "\t" not in joined and "\0" not in joined and joined.count("\n") < len(column)
        return column if plain else [value.translate(_ESCAPES) for value in column]
    return map(_field, column)


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    if value.__class__ is str:
        text: str = value.translate(_ESCAPES)
        return text
    if value.__class__ is bytes:
        return str(value.hex())
    if value.__class__ is bool:
        return "1" if value else "0"
    return repr(value)


def _first(warnings: Sequence[tuple[Any, ...]]) -> pymysql.err.Error:
    for _, code, message in warnings:
        return pymysql.err.DataError(int(code), str(message))
    return pymysql.err.DataError(1062, "fewer rows than were sent")
