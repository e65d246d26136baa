"""Positions in a source's log. Only the engine that made one looks inside."""

from __future__ import annotations

import enum
from typing import Final, Protocol, Self


class Position(Protocol):
    """A point in a log: an LSN, a GTID set, a file and offset. A partial order.

    `str(position)` is its saved text, and the engine's `position(text)` reads it back.
    """

    def covers(self, other: Self, /) -> bool:
        """Is everything up to `other` also up to this point?"""
        ...

    def __str__(self) -> str: ...


class _Never(enum.Enum):
    NEVER = "never"

    def __str__(self) -> str:
        return "never"


NEVER: Final = _Never.NEVER
"""The floor of a table whose changes are not applied: set aside, or still being copied."""
