"""Two PostgreSQL ends: are the rows of a table the same text at both?"""

from __future__ import annotations

from collections import Counter

from tests.support.oracle import postgres
from tests.support.oracle.compare import Tables, _carried, _diff, _split, tables
from tests.support.oracle.postgres import psql, quoted


def _pairs(url: str, wanted: Tables | None) -> dict[str, str]:
    found = tables(url) if wanted is None else wanted
    return dict(found.items()) if hasattr(found, "items") else {table: table for table in found}


def _lines(url: str, table: str, columns: list[str]) -> Counter[str]:
    """By the output function of each type: a cast to text is another one for some."""
    shown = ", ".join(f"CASE WHEN num_nulls(t.{quoted(c)}) = 0 THEN format('%s', t.{quoted(c)}) END" for c in columns)
    schema, name = _split(table)
    return Counter(
        psql(url, f"COPY (SELECT {shown} FROM {quoted(schema)}.{quoted(name)} t) TO STDOUT;").split("\n")[:-1]
    )


def alike(source: str, target: str, wanted: Tables | None = None) -> list[str]:
    """What differs, one text per table that differs."""
    found = []
    for table, copy in _pairs(source, wanted).items():
        columns = _carried(postgres.Table(source, *_split(table)))
        try:
            ours, theirs = _lines(source, table, columns), _lines(target, copy, columns)
        except RuntimeError as error:
            found.append(f"{table}: {error}")
            continue
        if ours != theirs:
            found.append(_diff(table, columns, ours, theirs))
    return found
