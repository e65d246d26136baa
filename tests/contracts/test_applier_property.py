"""Random histories into real targets: the net effect is a plain replay's (see tests/unit/test_applier_property.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicator.engine import Objects, Target
from replicator.model.builder import Limits
from replicator.model.change import Batch, Change, Rows, StreamMark
from tests.contracts.conftest import lines
from tests.contracts.engines import TARGETS, TargetUnderTest
from tests.contracts.streams import ITEMS, LOOSE, Number, landed
from tests.unit.test_applier_property import OPERATIONS, Source

NUMBERS = count()
SERVERS = [line for line in TARGETS if ":" in line]
Under = tuple[TargetUnderTest, Target]


@pytest.fixture(params=lines(SERVERS))
def under(request: pytest.FixtureRequest) -> Iterator[Under]:
    with TARGETS[request.param](request) as end, closing(end.make()) as target:
        target.open("property")
        yield end, target


def begin(under: Under) -> str:
    """A new stream into empty tables."""
    end, target = under
    name = f"s{next(NUMBERS)}"
    tables = [landed(end, ITEMS), landed(end, LOOSE)]
    target.ledger.claim(name, "{}", Objects(), ())
    target.structure.drop(tables)
    target.structure.create(tables, ())
    target.structure.finish(tables)
    target.ledger.record(tables, mark=Number(0), phase="streaming")
    target.applier.prepare(tables)
    return name


FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@FEW
@given(operations=st.lists(OPERATIONS, max_size=30), limit=st.integers(1, 40), eager=st.booleans())
def test_net_effect_is_the_replay(
    under: Under, operations: list[tuple[str, int, object, object]], limit: int, eager: bool
) -> None:
    source = Source(Limits(rows=limit))
    for op, key, other, value in operations:
        if op == "commit":
            source.commit()
            if eager:
                source.drain()
        else:
            source.do(op, key, other, value)
    while not source.valid:
        source.do("delete", next(iter(source.rows)), None, None)
    source.commit()
    source.drain()
    end, target = under
    name = begin(under)
    for batch in source.batches:
        target.applier.apply(batch)
    found = end.query("SELECT id, u, v FROM items")
    assert {key: (u, v) for key, u, v in found} == source.committed
    state = target.ledger.peek(name)
    assert state is not None and state.mark == str(source.position)


@FEW
@given(operations=st.lists(st.tuples(st.sampled_from("iud"), st.integers(0, 2), st.integers(0, 2)), max_size=25))
def test_rows_without_a_key_change_one_by_one(under: Under, operations: list[tuple[str, int, int]]) -> None:
    bag: list[tuple[int, str | None]] = []
    changes: list[Change] = []
    for op, a, b in operations:
        text = None if b == 0 else str(b)
        if op == "i":
            bag.append((a, text))
            changes.append(Rows(LOOSE, "insert", [(a, text)], []))
        elif bag:
            old = bag.pop(b % len(bag))
            if op == "u":
                bag.append((a, text))
                changes.append(Rows(LOOSE, "update", [(a, text)], [old]))
            else:
                changes.append(Rows(LOOSE, "delete", [], [old]))
    end, target = under
    begin(under)
    target.applier.apply(Batch(tuple(changes), (), StreamMark(Number(1))))
    assert sorted(map(repr, end.query("SELECT a, b FROM loose"))) == sorted(map(repr, bag))
