"""What every target promises: the ledger, the fence, the applier and the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from replicator.engine import Objects, Target
from replicator.errors import Conflict, Fenced
from replicator.model.change import Change, CopyMark, Rows, Truncate
from replicator.model.stream import Followed
from tests.contracts.engines import TARGETS
from tests.unit.streams import ITEMS, Number, batch, followed

Open = Callable[[], Target]


@pytest.fixture(params=sorted(TARGETS))
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    with TARGETS[request.param](request, tmp_path) as make:
        yield make


def begin(make: Open) -> tuple[Target, Followed]:
    """A stream at position 0 whose table is made."""
    target = make()
    assert target.findings() == []
    assert target.ledger.peek("s") is None
    mine = replace(followed(ITEMS), made=True)
    assert target.structure.survey([mine]) == {ITEMS.name: "absent"}
    target.open("s")
    state = target.ledger.claim("s", "{}", Objects(), ())
    assert (state.phase, state.mark) == ("preparing", None)
    target.structure.create([mine], ())
    target.structure.create([mine], ())
    target.structure.finish([mine])
    target.ledger.record([mine], mark=Number(0), phase="streaming")
    target.applier.prepare([mine])
    assert target.structure.survey([mine]) == {ITEMS.name: "empty"}
    return target, mine


def insert(*keys: int) -> Rows:
    return Rows(ITEMS, "insert", [(key, key, "x") for key in keys], [])


def mark(target: Target) -> str | None:
    state = target.ledger.peek("s")
    assert state is not None
    return state.mark


def test_a_batch_and_its_mark_are_one(target: Open) -> None:
    opened, mine = begin(target)
    opened.applier.apply(batch(1, insert(1, 2, 3)))
    assert mark(opened) == "1"
    assert opened.structure.survey([mine]) == {ITEMS.name: "filled"}
    opened.applier.apply(batch(2, Rows(ITEMS, "update", [(1, 9, "y"), (7, 2, "z")], [(1,), (2,)])))
    opened.applier.apply(batch(3, Rows(ITEMS, "delete", [], [(3,)])))
    opened.applier.apply(batch(4, Truncate((ITEMS,)), insert(5)))
    assert mark(opened) == "4"
    opened.applier.apply(batch(5, Rows(ITEMS, "delete", [], [(5,)])))
    assert opened.structure.survey([mine]) == {ITEMS.name: "empty"}


def test_parts_are_one_transaction(target: Open) -> None:
    opened, mine = begin(target)
    opened.applier.apply(batch(0, insert(1), complete=False))
    opened.applier.apply(batch(0, insert(2), complete=False))
    opened.applier.rollback()
    assert opened.structure.survey([mine]) == {ITEMS.name: "empty"}
    assert mark(opened) == "0"


CONFLICTS: list[Change] = [
    insert(1),
    Rows(ITEMS, "insert", [(2, 1, "takes another's unique value")], []),
    Rows(ITEMS, "update", [(8, 8, "x")], [(8,)]),
    Rows(ITEMS, "delete", [], [(8,)]),
]


@pytest.mark.parametrize("change", CONFLICTS, ids=["insert", "unique", "update", "delete"])
def test_a_row_that_is_not_what_the_log_says_is_a_conflict(target: Open, change: Change) -> None:
    opened, _ = begin(target)
    opened.applier.apply(batch(1, insert(1)))
    with pytest.raises(Conflict, match=r"public\.items \(key id="):
        opened.applier.apply(batch(2, change))
    opened.applier.rollback()
    assert mark(opened) == "1"


def test_a_copy_part_has_a_mark_of_its_own(target: Open) -> None:
    opened, mine = begin(target)
    opened.ledger.begin_copy(replace(mine, phase="copying"))
    part = CopyMark(ITEMS, 0, Number(3), ("1",), False)
    opened.applier.apply(replace(batch(0, insert(1)), mark=part))
    opened.applier.apply(replace(batch(0, insert(2)), mark=replace(part, cursor=("2",), done=True)))
    state = opened.ledger.peek("s")
    assert state is not None and state.mark == "0"
    assert state.tables[ITEMS.name].phase == "copied"


def test_a_later_claim_fences_everything(target: Open) -> None:
    first, mine = begin(target)
    first.applier.apply(batch(1, insert(1)))
    first.close()
    second = target()
    second.open("s")
    assert second.ledger.claim("s", "{}", Objects(), ()).mark == "1"
    second.ledger.claim("s", "{}", Objects(), ())  # as another run would: the epoch that `second` holds is its own
    second.applier.prepare([mine])
    second.applier.apply(batch(2, insert(2)))
    assert mark(second) == "2"
    assert second.ledger.owners("other") == {mine.target: "s"}
    assert second.ledger.owners("s") == {}
    ledger = second.ledger
    ledger._epoch -= 1  # type: ignore[attr-defined]
    with pytest.raises(Fenced):
        second.applier.apply(batch(3, insert(3)))
    second.applier.rollback()
    with pytest.raises(Fenced):
        ledger.record([mine])
