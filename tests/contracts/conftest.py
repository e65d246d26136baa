"""What the contract suites start from, for every engine of `engines.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

import pytest

from replicator.engine import Snapshot, Target
from tests.contracts import streams
from tests.contracts.engines import (
    COPY_SOURCES,
    ENGINES,
    SOURCES,
    TARGETS,
    CopySourceUnderTest,
    SourceUnderTest,
    TargetUnderTest,
)
from tests.contracts.streams import Stream

TABLES = (
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(20))",
    "CREATE TABLE other (id int PRIMARY KEY)",
    "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)",
)

OLDER = "postgres:postgres15"
"""It differs little from the newer one: a third of its tests runs each time."""


def lines(engines: Iterable[str]) -> list[Any]:
    return [pytest.param(line, marks=pytest.mark.rotating if line == OLDER else ()) for line in sorted(engines)]


@pytest.fixture(params=lines(COPY_SOURCES))
def copied(request: pytest.FixtureRequest) -> Iterator[CopySourceUnderTest]:
    """A source of copies with three rows in `t`, none in `other`, and two that are the same in `loose`."""
    with COPY_SOURCES[request.param](request) as found:
        for statement in (
            *TABLES,
            "CREATE TABLE loose (v varchar(20))",
            "INSERT INTO loose VALUES ('a'), ('a')",
        ):
            found.execute(statement)
        yield found


@pytest.fixture(params=lines(SOURCES))
def logged(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    """A source with a log, with three rows in `t` and none in `other`."""
    with SOURCES[request.param](request) as found:
        for statement in TABLES:
            found.execute(statement)
        yield found


def _that_make_objects(wanted: bool) -> list[Any]:
    return lines(line for line in SOURCES if ENGINES[line.partition(":")[0]].makes_objects == wanted)


@pytest.fixture(params=_that_make_objects(True))
def keeping(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    """One of `logged` at which a stream makes objects."""
    with SOURCES[request.param](request) as found:
        for statement in TABLES:
            found.execute(statement)
        yield found


@pytest.fixture(params=_that_make_objects(False))
def untouched(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    """One of `logged` at which a stream makes nothing."""
    with SOURCES[request.param](request) as found:
        for statement in TABLES:
            found.execute(statement)
        yield found


TakeView = Callable[[], Snapshot]
_VIEWS = [(line, "view") for line in COPY_SOURCES] + [
    (line, how) for line in SOURCES for how in ("snapshot", "prepare")
]


@pytest.fixture(
    params=[
        pytest.param(view, marks=pytest.mark.rotating if view[0] == OLDER else (), id="-".join(view)) for view in _VIEWS
    ]
)
def viewed(request: pytest.FixtureRequest) -> Iterator[tuple[CopySourceUnderTest, TakeView]]:
    """A source like `copied`, and each of the ways to get a view of it."""
    line, how = request.param
    found: CopySourceUnderTest
    with COPY_SOURCES[line](request) as found:
        for statement in TABLES:
            found.execute(statement)

        def take() -> Snapshot:
            if how == "view":
                return found.source.view()
            assert isinstance(found, SourceUnderTest)
            return found.source.snapshot() if how == "snapshot" else streams.prepare(found).snapshot

        yield found, take


@pytest.fixture(params=lines(TARGETS))
def landing(request: pytest.FixtureRequest) -> Iterator[TargetUnderTest]:
    """An empty target."""
    with TARGETS[request.param](request) as found:
        yield found


@pytest.fixture
def opened(landing: TargetUnderTest) -> Iterator[Target]:
    """The empty target, opened by a runner that has claimed nothing."""
    with closing(landing.make()) as target:
        target.open("s")
        yield target


@pytest.fixture
def stream(landing: TargetUnderTest, opened: Target) -> Stream:
    """A stream at position 0 whose tables `items` and `loose` are made and empty."""
    return streams.begin(landing, opened)
