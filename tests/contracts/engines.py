"""Every engine, as the contract suites see it: a new one adds a line here and no test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replicator.engine import Source, Target, find
from tests.support.databases import PostgresDatabase


@dataclass(frozen=True)
class SourceUnderTest:
    """A source with an empty database, and how to run SQL in it."""

    source: Source
    execute: Callable[[str], object]


@contextmanager
def postgres(request: pytest.FixtureRequest, server: str) -> Iterator[SourceUnderTest]:
    with PostgresDatabase(request.getfixturevalue(server)) as database:
        engine = find(database.url)
        with closing(engine.source(engine.endpoint(database.url, None), print)) as source:
            yield SourceUnderTest(source, database.execute)


@contextmanager
def sqlite(request: pytest.FixtureRequest, directory: Path) -> Iterator[Callable[[], Target]]:
    opened: list[Target] = []

    def make() -> Target:
        url = f"sqlite:///{directory}/target.db"
        engine = find(url)
        target = engine.target(engine.endpoint(url, None))
        opened.append(target)
        return target

    try:
        yield make
    finally:
        for target in opened:
            target.close()


SOURCES: dict[str, Any] = {
    "postgres15": lambda request: postgres(request, "postgres15"),
    "postgres18": lambda request: postgres(request, "postgres18"),
}
TARGETS: dict[str, Any] = {"sqlite": sqlite}
