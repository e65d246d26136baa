"""The net effect of changes on one key, case by case."""

from __future__ import annotations

import pytest

from replicator.errors import Conflict
from replicator.model.change import Operation, Rows
from replicator.model.compact import Entry, compact
from replicator.model.values import MISSING, Row
from tests.unit.streams import ITEMS


def run(op: Operation, row: Row | None, key: int | None) -> Rows:
    return Rows(ITEMS, op, [] if row is None else [row], [] if key is None else [(key,)])


def net(*runs: Rows) -> dict[Row, Entry]:
    return compact(ITEMS, runs).entries


def test_insert_then_update_is_an_insert_of_the_last_row() -> None:
    assert net(run("insert", (1, 1, "a"), None), run("update", (1, 2, MISSING), 1)) == {
        (1,): Entry(False, (1, 2, "a"), None)
    }


def test_insert_then_delete_is_nothing() -> None:
    found = compact(ITEMS, [run("insert", (1, 1, "a"), None), run("delete", None, 1)])
    assert (found.deletes(), found.updates(), found.inserts(), found.existed()) == ([], [], [], [])


def test_delete_then_insert_replaces_the_row() -> None:
    found = compact(ITEMS, [run("delete", None, 1), run("insert", (1, 1, "a"), None)])
    assert found.updates() == [((1,), (1, 1, "a"))]
    assert found.existed() == [(1,)]


def test_a_row_moved_twice_takes_its_missing_value_from_where_it_stood_before_the_batch() -> None:
    entries = net(run("update", (2, 1, MISSING), 1), run("update", (3, 1, MISSING), 2))
    assert entries[(3,)] == Entry(False, (3, 1, MISSING), (1,))
    assert entries[(1,)] == Entry(True, None, None)
    assert entries[(2,)] == Entry(False, None, None)


def test_a_swap_of_keys_through_a_third_one() -> None:
    entries = net(
        run("update", (9, 1, MISSING), 1), run("update", (1, 2, MISSING), 2), run("update", (2, 1, MISSING), 9)
    )
    assert entries[(1,)] == Entry(True, (1, 2, MISSING), (2,))
    assert entries[(2,)] == Entry(True, (2, 1, MISSING), (1,))
    assert entries[(9,)] == Entry(False, None, None)


def test_a_row_that_moves_away_and_back_keeps_its_own_missing_value() -> None:
    found = compact(ITEMS, [run("update", (2, 1, MISSING), 1), run("update", (1, 1, MISSING), 2)])
    assert found.strangers() == []
    assert found.updates() == [((1,), (1, 1, MISSING))]


@pytest.mark.parametrize(
    "runs",
    [
        (run("insert", (1, 1, "a"), None), run("insert", (1, 2, "b"), None)),
        (run("delete", None, 1), run("delete", None, 1)),
        (run("delete", None, 1), run("update", (1, 1, "a"), 1)),
        (run("delete", None, 1), run("update", (2, 1, "a"), 1)),
        (run("update", (1, 1, "a"), 1), run("update", (1, 2, "b"), 2)),
    ],
    ids=["insert twice", "delete twice", "update deleted", "move deleted", "move onto a row"],
)
def test_a_log_that_contradicts_itself_stops(runs: tuple[Rows, ...]) -> None:
    with pytest.raises(Conflict, match=r"public\.items.*key id="):
        net(*runs)
