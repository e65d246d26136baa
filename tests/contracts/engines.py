"""Every engine, as the contract suites see it: a new one adds a line here and no test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from replicator.engine import CopySource, Source, Target, find
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


@dataclass(frozen=True)
class CopySourceUnderTest:
    source: CopySource
    execute: Callable[[str], object]


@contextmanager
def sqlite_file(request: pytest.FixtureRequest) -> Iterator[CopySourceUnderTest]:
    path = request.getfixturevalue("tmp_path") / "source.db"
    with closing(connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        engine = find("sqlite://")
        with closing(engine.copy_source(engine.endpoint(f"sqlite:///{path}", None), print)) as source:
            yield CopySourceUnderTest(source, connection.execute)


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
COPY_SOURCES: dict[str, Any] = {**SOURCES, "sqlite": sqlite_file}
TARGETS: dict[str, Any] = {"sqlite": sqlite}
