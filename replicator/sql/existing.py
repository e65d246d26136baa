"""Can a table that we did not make hold the rows? What every engine asks of its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from replicator.model.schema import Column
from replicator.model.stream import Followed
from replicator.sql import digest

ANEW = "drop the table and let it be made"
Problem = tuple[str, str]
"""What is wrong, and what mends it."""


@dataclass(frozen=True)
class ExistingColumn:
    """A column of the target table. `type`: as the target writes it. `required`: is it NOT NULL? `filled`: may it be
    left out? `generated`: from others, so that it takes no values."""

    name: str
    type: str
    required: bool
    filled: bool
    generated: bool


T = TypeVar("T", bound=ExistingColumn)


def problems(
    followed: Followed, columns: Sequence[T], fits: Callable[[Column, T], Iterator[Problem]]
) -> Iterator[Problem]:
    """`fits`: what the engine has to say against a column that holds the values of one of the source's."""
    by_name = {column.name: column for column in columns}
    if followed.digested != (digest.COLUMN in by_name):
        yield "it has no digest column, or that of an earlier stream", ANEW
    for column in followed.table.columns:
        there = by_name.get(column.name)
        if there is None:
            yield f"column {column.name} is missing", f"add it, or {ANEW}"
        elif there.generated:
            yield f"column {column.name} is generated there: it takes no values", f"drop its expression, or {ANEW}"
        else:
            yield from fits(column, there)
            if there.required and column.nullable:
                yield f"column {column.name} is NOT NULL, and the source has it nullable", "drop its NOT NULL"
    for there in columns:
        beside = there.name not in (*followed.table.names, digest.COLUMN)
        if beside and there.required and not (there.filled or there.generated):
            yield (
                f"column {there.name} is NOT NULL without a default, and the source does not have it",
                "give it a default",
            )
