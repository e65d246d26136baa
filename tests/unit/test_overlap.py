"""A copy that is ahead of the log ends as the source does, once the log is past it."""

from __future__ import annotations

import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.errors import NotUnderstood
from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, Rows
from replicator.model.values import MISSING
from tests.unit.streams import ITEMS, Number, followed, stream

State = dict[int, tuple[int | None, str]]
OVERLAPPING = replace(followed(replace(ITEMS, uniques=())), settles="99")


def history(rng: random.Random, length: int, limit: int) -> tuple[list[State], list[Batch]]:
    """The states after each transaction, and the log between them."""
    builder = Builder(Limits(rows=limit))
    state: State = {key: (key, "first") for key in range(1, 6)}
    states, batches = [dict(state)], []
    for position in range(1, length + 1):
        builder.begin()
        for _ in range(rng.randrange(1, 4)):
            change(rng, state, builder)
            if builder.full and (part := builder.take()) is not None:
                batches.append(part)
        builder.commit(Number(position), 0.0, 1)
        states.append(dict(state))
    while (batch := builder.take()) is not None:
        batches.append(batch)
    return states, batches


def change(rng: random.Random, state: State, builder: Builder) -> None:
    key, other = rng.randrange(1, 8), rng.randrange(1, 8)
    row = (rng.randrange(5) or None, rng.choice("abc"))
    table = OVERLAPPING.table
    if key not in state:
        state[key] = row
        builder.row(table, "insert", (key, *row), None, 1)
    elif rng.random() < 0.3:
        del state[key]
        builder.row(table, "delete", None, (key,), 1)
    elif rng.random() < 0.5 and other not in state:
        state[other] = state.pop(key)
        builder.row(table, "update", (other, *state[other]), (key,), 1)
    else:
        state[key] = row
        builder.row(table, "update", (key, *row), (key,), 1)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 12), st.integers(1, 30))
def test_whatever_the_copy_had_the_end_is_the_sources(seed: int, ahead: int, limit: int) -> None:
    states, batches = history(random.Random(seed), 12, limit)
    copy = [(key, *row) for key, row in states[ahead].items()]
    with tempfile.TemporaryDirectory() as directory, stream(Path(directory) / "t.db", OVERLAPPING.table) as target:
        target.applier.prepare([followed(OVERLAPPING.table)])
        target.applier.apply(batch_of(copy))
        target.applier.prepare([OVERLAPPING])
        for batch in batches:
            target.applier.apply(batch)
        found = target._session.execute("SELECT id, u, v FROM items").fetchall()  # type: ignore[union-attr]
        assert {key: (u, v) for key, u, v in found} == states[-1]


def batch_of(rows: list[tuple[int, int | None, str]]) -> Batch:
    builder = Builder(Limits())
    builder.begin()
    for row in rows:
        builder.row(OVERLAPPING.table, "insert", row, None, 1)
    builder.commit(Number(0), 0.0, 1)
    found = builder.take()
    assert found is not None
    return found


def test_a_row_that_did_not_come_whole_stops(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", OVERLAPPING.table) as target:
        target.applier.prepare([OVERLAPPING])
        builder = Builder(Limits())
        builder.begin()
        builder.rows(OVERLAPPING.table, "update", [(1, MISSING, "x")], [(1,)], 1)
        builder.commit(Number(1), 0.0, 1)
        batch = builder.take()
        assert batch is not None and isinstance(batch.changes[0], Rows)
        with pytest.raises(NotUnderstood, match="whole row"):
            target.applier.apply(batch)
