"""The user's choices for columns: by name, or by a pattern with `*` in any of schema, table and column."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from replicator.model.schema import Name

Chosen = Mapping[str, str]


@dataclass(frozen=True)
class Pattern:
    """`path`: `schema.table.column` as it was written, in three parts."""

    path: tuple[str, str, str]
    chosen: Chosen

    def fits(self, name: Name, column: str) -> bool:
        return all(
            _expression(part).fullmatch(own) is not None for part, own in zip(self.path, (*name, column), strict=True)
        )

    @property
    def rank(self) -> tuple[int, int]:
        """The fewer stars and the more letters, the closer."""
        text = ".".join(self.path)
        return -text.count("*"), len(text)

    def __str__(self) -> str:
        return ".".join(self.path)


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


class _Columns(Mapping[str, Chosen]):
    """One table's. It iterates over the columns that are named in full."""

    def __init__(self, name: Name, patterns: tuple[Pattern, ...]) -> None:
        self._name, self._patterns = name, patterns

    def __getitem__(self, column: str) -> Chosen:
        for pattern in self._patterns:
            if pattern.fits(self._name, column):
                return pattern.chosen
        raise KeyError(column)

    def __iter__(self) -> Iterator[str]:
        return iter([p.path[2] for p in self._patterns if "*" not in str(p) and p.path[:2] == self._name])

    def __len__(self) -> int:
        return len(list(iter(self)))


class ColumnPolicies(Mapping[Name, Mapping[str, Chosen]]):
    """By table, then column. Of all that fit a column the closest counts, alone.

    It iterates over the tables that have a column named in full; any other is found by asking for it.
    """

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._patterns = tuple(sorted(patterns, key=lambda pattern: pattern.rank, reverse=True))

    def __getitem__(self, name: Name) -> Mapping[str, Chosen]:
        return _Columns(name, self._patterns)

    def __iter__(self) -> Iterator[Name]:
        return iter(dict.fromkeys(Name(*p.path[:2]) for p in self._patterns if "*" not in str(p)))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def idle(self, columns: Mapping[Name, tuple[str, ...]]) -> list[str]:
        """Patterns that fit no column of these tables."""
        return [
            str(pattern)
            for pattern in self._patterns
            if "*" in str(pattern)
            and not any(pattern.fits(name, column) for name, names in columns.items() for column in names)
        ]


def concrete(chosen: Mapping[str, Chosen], columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """What is chosen for each of these columns, and for those that are named and are not there."""
    names = dict.fromkeys([*columns, *chosen])
    return {name: dict(found) for name in names if (found := chosen.get(name))}
