"""COPY's text format: bytes in, rows out.

https://www.postgresql.org/docs/current/sql-copy.html, "Text Format": fields end with a tab, rows with a newline,
`\\N` is NULL, and a backslash begins an escape.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from replicator.engines.postgres.types import FromText
from replicator.model.values import Row

FORMAT = "postgresql copy text"
"""Between two servers of this kind it is passed on as it is."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}


def fields(line: str) -> list[str | None]:
    """One row's fields, without their escapes."""
    parts = line.split("\t")
    if "\\" not in line:
        return list(parts)
    return [None if part == "\\N" else _plain(part) if "\\" in part else part for part in parts]


def _plain(field: str) -> str:
    # COPY TO writes only the one-letter escapes of _MEANING, never octal or hexadecimal ones.
    return _ESCAPE.sub(lambda escape: _MEANING.get(escape.group(1), escape.group(1)), field)


def rows(lines: Sequence[str], converters: Sequence[FromText | None]) -> list[Row]:
    """Rows as canonical values. Raises ValueError from a converter."""
    if not converters:
        return [()] * len(lines)  # an empty line is a row of a table without columns
    converting = [(i, convert) for i, convert in enumerate(converters) if convert is not None]
    result: list[Row] = []
    for line in lines:
        values: list[object] = fields(line)  # type: ignore[assignment]
        for i, convert in converting:
            value = values[i]
            if value is not None:
                values[i] = convert(value)  # type: ignore[arg-type]
        result.append(tuple(values))  # type: ignore[arg-type]
    return result
