"""The values that travel from a reader to an applier.

Dates, times, timestamps, intervals, decimals, UUIDs and JSON travel as canonical text: PostgreSQL's own output with
`datestyle=ISO`, `timezone=UTC`, `intervalstyle=iso_8601`, `extra_float_digits=3`. Python's own types for them lose
values that databases hold (`infinity`, BC, `24:00:00`, `0000-00-00`, a numeric of 1000 digits).
"""

from __future__ import annotations

import enum
from typing import Final, Literal


class _Missing(enum.Enum):
    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing.MISSING
"""A column that the source did not send in an update: it keeps what the target has. Never NULL."""

Value = None | bool | int | float | str | bytes | Literal[_Missing.MISSING]
Row = tuple[Value, ...]
