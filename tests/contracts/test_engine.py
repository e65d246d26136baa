"""What every engine promises before anything is connected to."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest

from replicator.engine import Engine, find
from replicator.errors import ReplicatorError, UsageError
from replicator.model.stream import Identity
from tests.contracts.engines import COPY_SOURCES, ENGINES, SECRET, SOURCES, CopySourceUnderTest, EngineUnderTest
from tests.contracts.engines import SourceUnderTest as Logged
from tests.contracts.streams import IDENTITY, prepare


@pytest.fixture(params=sorted(ENGINES))
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def words(folder: str) -> EngineUnderTest:
    return ENGINES[folder]


@pytest.fixture
def engine(folder: str) -> Engine:
    found: Engine = importlib.import_module(f"replicator.engines.{folder}").ENGINE
    return found


def test_a_scheme_is_of_one_engine(engine: Engine) -> None:
    others = [importlib.import_module(f"replicator.engines.{other}").ENGINE for other in ENGINES]
    taken = [scheme for other in others if other is not engine for scheme in other.schemes]
    assert engine.schemes and not set(engine.schemes) & set(taken)
    for url in ("nothing://x", "no scheme", ""):
        with pytest.raises(UsageError):
            find(url)


def test_one_database_is_one_place_however_it_is_written(engine: Engine, words: EngineUnderTest) -> None:
    places = {engine.endpoint(url, None).place for url in words.same}
    assert len(places) == 1 and places != {""}
    assert engine.endpoint(words.other, None).place not in places


def test_a_password_is_used_and_never_shown(engine: Engine, words: EngineUnderTest) -> None:
    for url in words.same:
        endpoint = engine.endpoint(url, None)
        assert SECRET not in endpoint.shown + endpoint.place
    if words.takes_password:
        given = engine.endpoint(words.other, f"{SECRET}2")
        assert f"{SECRET}2" in given.url and SECRET not in given.shown + given.place


def test_a_bad_url_is_a_usage_error_without_the_password(engine: Engine, words: EngineUnderTest) -> None:
    for url in words.bad:
        with pytest.raises(UsageError) as caught:
            engine.endpoint(url, None)
        assert SECRET not in str(caught.value)
        assert caught.value.remedy


def test_policies_are_words(engine: Engine) -> None:
    policies: Mapping[str, frozenset[str]] = engine.policies()
    assert all(name and chosen and all(isinstance(word, str) for word in chosen) for name, chosen in policies.items())


def test_what_it_cannot_do_is_refused(engine: Engine, words: EngineUnderTest) -> None:
    """What it says that it can do, the other suites do."""
    endpoint = engine.endpoint(words.other, None)
    if not engine.capabilities.reads_log:
        with pytest.raises(UsageError):
            engine.source(endpoint, print)
        with pytest.raises(UsageError):
            engine.position("0/1")
        assert engine.removal(IDENTITY) == []
    if not engine.capabilities.writes:
        with pytest.raises(UsageError):
            engine.target(endpoint)


def test_a_source_that_is_not_there_is_one_of_our_errors(engine: Engine, words: EngineUnderTest) -> None:
    with pytest.raises(ReplicatorError) as caught:
        engine.copy_source(engine.endpoint(words.same[0], None), print)
    assert SECRET not in str(caught.value)


def test_a_position_is_read_back_from_its_text(engine: Engine, words: EngineUnderTest) -> None:
    assert bool(words.positions) == engine.capabilities.reads_log
    positions: list[Any] = [engine.position(text) for text in words.positions]
    assert [str(position) for position in positions] == list(words.positions)
    assert all(position == engine.position(str(position)) for position in positions)
    assert all(position.covers(position) for position in positions)
    for earlier, later in pairwise(positions):
        assert later.covers(earlier) and not earlier.covers(later)
    with pytest.raises(ReplicatorError):
        engine.position(words.no_position)


@pytest.mark.parametrize("line", sorted(COPY_SOURCES))
def test_a_copy_source_is_what_it_says(request: pytest.FixtureRequest, line: str) -> None:
    """An end whose log is read is one that can be copied from, too."""
    with COPY_SOURCES[line](request) as found:
        assert isinstance(found, CopySourceUnderTest)
        assert isinstance(found, Logged) == (line in SOURCES)
        found.source.view().close()


def test_a_position_of_the_log_itself_is_read_back(logged: Logged) -> None:
    engine = _engine_of(logged)
    head = logged.source.head()
    assert engine.position(str(head)) == head


def test_removal_names_what_prepare_has_made(keeping: Logged) -> None:
    """It connects to nothing, so it is asked for objects that are not there, too."""
    engine = _engine_of(keeping)
    before = keeping.inventory()
    prepared = prepare(keeping)
    prepared.snapshot.close()
    assert keeping.inventory() != before
    for statement in engine.removal(IDENTITY):
        keeping.execute(statement)
    assert keeping.inventory() == before
    assert engine.removal(Identity("absent", "f" * 32)) != engine.removal(IDENTITY)


def test_removal_leaves_what_is_the_users(logged: Logged) -> None:
    objects = logged.theirs(("t",))
    before = logged.inventory()
    named = Identity("contract", IDENTITY.uid, objects.publication, objects.slot)
    for statement in _engine_of(logged).removal(named):
        logged.execute(statement)
    assert logged.inventory() == before


def _engine_of(logged: Logged) -> Engine:
    module = type(logged.source).__module__.split(".")
    found: Engine = importlib.import_module(".".join(module[:3])).ENGINE
    return found
