"""Values that their own column would change: another file with such a column cannot take them as they are.

A column's affinity has converted every value that was written to it, so a value that it would convert was there before
the column was declared so: `PRAGMA writable_schema` can change a declaration over its values. The rules are those of
https://www.sqlite.org/datatype3.html#type_affinity. STRICT tables convert the same, and refuse the rest themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from replicator.engines.sqlite import declared
from replicator.model.schema import Table

_NUMBER = re.compile(r"[ \t\n\v\f\r]*+[+-]?+(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+[ \t\n\v\f\r]*+")
_BETWEEN = "\x1f"
_AMONG = re.compile(f"{_BETWEEN}{_NUMBER.pattern}{_BETWEEN}")
"""One of many texts with `_BETWEEN` around each; a text that has it inside may be found for nothing."""
_LIMIT = 2.0**63


class Held:
    """Resolved once for a table; then asked for each chunk."""

    def __init__(self, table: Table) -> None:
        own = [(at, declared.split(column.native)) for at, column in enumerate(table.columns)]
        kinds = [(at, declared.affinity(split[0], strict=split[1])) for at, split in own if split]
        self._texts = [at for at, kind in kinds if kind == "TEXT"]
        self._reals = {at for at, kind in kinds if kind == "REAL"}
        self._numeric = [at for at, kind in kinds if kind in ("INTEGER", "NUMERIC", "REAL")]

    def changed(self, rows: Sequence[Sequence[Any]]) -> tuple[int, int] | None:
        """Where the first such value of a column stands: its row and its column; None where there is none."""
        for at in self._texts:
            values = [row[at] for row in rows]
            if not {int, float}.isdisjoint(map(type, values)):
                return next(i for i, value in enumerate(values) if isinstance(value, int | float)), at
        for at in self._numeric:
            values = [row[at] for row in rows]
            integral = at not in self._reals
            if _perhaps(values, integral=integral):
                for i, value in enumerate(values):
                    if _converted(value, integral=integral):
                        return i, at
        return None


def _perhaps(values: Sequence[Any], *, integral: bool) -> bool:
    """Might one of these be converted? Without a step of Python for each."""
    kinds = set(map(type, values))
    if integral and float in kinds:
        floats = values if len(kinds) == 1 else [value for value in values if value.__class__ is float]
        if any(map(float.is_integer, floats)):
            return True
    if str not in kinds:
        return False
    texts = values if len(kinds) == 1 else [value for value in values if value.__class__ is str]
    return _AMONG.search(_BETWEEN + _BETWEEN.join(texts) + _BETWEEN) is not None


def _converted(value: Any, *, integral: bool) -> bool:
    if isinstance(value, str):
        return _NUMBER.fullmatch(value) is not None
    return integral and isinstance(value, float) and value.is_integer() and -_LIMIT < value < _LIMIT
