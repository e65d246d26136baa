"""What every applier promises: each batch and its mark are one transaction of the target."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from replicator.engine import Objects
from replicator.errors import CannotApply, Conflict, PositionLost, Retryable, ValueNotHeld
from replicator.model.change import Change, Rows, Truncate
from replicator.model.schema import Name, Table
from replicator.model.values import Row
from tests.contracts.streams import ITEMS, LOOSE, Number, Stream, batch, chunk, insert, landed


def test_a_batch_and_its_mark_are_durable_together(stream: Stream) -> None:
    apply = stream.target.applier.apply
    apply(batch(1, insert(1, 2, 3)))
    assert (stream.keys(), stream.state().mark) == ([1, 2, 3], "1")
    apply(batch(2, Rows(ITEMS, "update", [(1, 9, "y"), (7, 2, "z")], [(1,), (2,)])))
    assert (stream.rows(), stream.state().mark) == ([(1, 9, "y"), (3, 3, "x"), (7, 2, "z")], "2")
    apply(batch(3, Rows(ITEMS, "delete", [], [(3,)])))
    assert (stream.keys(), stream.state().mark) == ([1, 7], "3")
    apply(batch(4, Truncate((ITEMS,)), insert(5), insert(6, table=LOOSE)))
    assert (stream.keys(), stream.rows("loose"), stream.state().mark) == ([5], [(6, "x")], "4")


def test_a_batch_without_changes_moves_the_mark(stream: Stream) -> None:
    before = stream.rows()
    stream.target.applier.apply(batch(7))
    assert (stream.rows(), stream.state().mark) == (before, "7")


def test_rows_without_a_key_are_told_by_all_of_themselves(stream: Stream) -> None:
    apply = stream.target.applier.apply
    apply(batch(1, insert(1, 1, table=LOOSE), Rows(LOOSE, "insert", [(None, None)], [])))
    apply(batch(2, Rows(LOOSE, "update", [(2, "y")], [(1, "x")])))
    apply(batch(3, Rows(LOOSE, "delete", [], [(None, None)])))
    assert stream.rows("loose") == [(1, "x"), (2, "y")]


def test_values_that_move_between_rows_are_no_conflict(stream: Stream) -> None:
    """A unique value and a key change hands within a batch, in ways that no order of statements allows."""
    apply = stream.target.applier.apply
    apply(batch(1, insert(1, 2)))
    apply(batch(2, Rows(ITEMS, "update", [(1, 3, "x"), (2, 1, "x"), (1, 2, "x")], [(1,), (2,), (1,)])))
    assert stream.rows() == [(1, 2, "x"), (2, 1, "x")]


def test_it_writes_where_prepare_said(stream: Stream) -> None:
    elsewhere = landed(stream.end, ITEMS, target=stream.end.name("elsewhere"))
    stream.target.structure.create([elsewhere], ())
    stream.target.applier.prepare([elsewhere])
    stream.target.applier.apply(batch(1, insert(1)))
    assert stream.rows("elsewhere") == [(1, 1, "x")] and stream.rows() == []
    stream.target.applier.prepare([stream.items])
    stream.target.applier.apply(batch(2, insert(2)))
    assert stream.keys() == [2]


def test_parts_are_one_transaction_with_the_last(stream: Stream) -> None:
    apply = stream.target.applier.apply
    apply(batch(1, insert(1)))
    apply(batch(0, insert(2), complete=False))
    apply(batch(0, insert(3), complete=False))
    assert (stream.keys(), stream.state().mark) == ([1], "1")
    apply(batch(2, insert(4)))
    assert (stream.keys(), stream.state().mark) == ([1, 2, 3, 4], "2")


def test_rollback_gives_up_the_open_transaction(stream: Stream) -> None:
    applier = stream.target.applier
    applier.rollback()  # there is none
    applier.apply(batch(0, insert(1), complete=False))
    applier.rollback()
    assert (stream.keys(), stream.state().mark) == ([], "0")
    applier.apply(batch(1, insert(2)))
    assert (stream.keys(), stream.state().mark) == ([2], "1")


def test_a_connection_that_ends_inside_leaves_nothing(stream: Stream) -> None:
    stream.target.applier.apply(batch(0, insert(1), complete=False))
    stream.target.close()
    assert (stream.keys(), stream.state().mark) == ([], "0")


def test_s068_a_lock_that_is_not_given_is_no_half_transaction(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some servers undo the statement alone that waited too long."""
    for engine in ("postgres", "mysql"):
        monkeypatch.setattr(f"replicator.engines.{engine}.session.LOCK_PATIENCE_S", 1)
    monkeypatch.setattr("replicator.sql.connect.PATIENCE_S", 1.0)
    changed = Rows(ITEMS, "update", [(1, 1, "changed")], [(1,)])
    with closing(stream.another_run()) as run, closing(stream.end.make()) as other:
        applier = run.applier
        applier.apply(batch(1, insert(1)))
        other.open("other")
        other.ledger.claim("other", "{}", Objects(), ())
        other.ledger.record([stream.items], mark=Number(0), phase="streaming")
        other.applier.prepare([stream.items])
        other.applier.apply(batch(0, changed, complete=False))
        with pytest.raises(Retryable):
            applier.apply(batch(2, insert(7, table=LOOSE), changed))
        other.applier.rollback()
        assert (stream.rows("loose"), stream.rows(), stream.state().mark) == ([], [(1, 1, "x")], "1")
        applier.apply(batch(2, insert(7, table=LOOSE), changed))
    assert (stream.rows("loose"), stream.rows(), stream.state().mark) == ([(7, "x")], [(1, 1, "changed")], "2")


CONFLICTS: dict[str, Change] = {
    "insert": insert(1),
    "unique": Rows(ITEMS, "insert", [(2, 1, "takes another's unique value")], []),
    "update": Rows(ITEMS, "update", [(8, 8, "x")], [(8,)]),
    "delete": Rows(ITEMS, "delete", [], [(8,)]),
}


@pytest.mark.parametrize("change", CONFLICTS.values(), ids=CONFLICTS)
def test_a_row_that_is_not_what_the_log_says_is_a_conflict(stream: Stream, change: Change) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    with pytest.raises(Conflict, match=r"public\.items \(key id=") as caught:
        stream.target.applier.apply(batch(2, insert(5), change))
    assert "takes another" not in str(caught.value) and caught.value.remedy
    assert_rolled_back(stream)


@pytest.mark.parametrize("change", [CONFLICTS["update"], CONFLICTS["delete"]], ids=["update", "delete"])
def test_of_a_table_without_a_key_too(stream: Stream, change: Rows) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    rows: list[Row] = [(8, "x")] if change.rows else []
    with pytest.raises(Conflict, match=r"public\.loose"):
        stream.target.applier.apply(batch(2, insert(5), Rows(LOOSE, change.op, rows, [(8, "x")])))
    assert_rolled_back(stream)


def assert_rolled_back(stream: Stream) -> None:
    """By itself: nobody has to ask for it, and the fence is free for the next run."""
    assert (stream.keys(), stream.state().mark) == ([1], "1")
    second = stream.another_run()
    second.applier.apply(batch(2, insert(2)))
    assert (stream.keys(), stream.state().mark) == ([1, 2], "2")


def test_a_value_that_the_target_does_not_hold(stream: Stream) -> None:
    column, value = stream.end.unheld
    table = Table(Name("public", "odd"), (ITEMS.columns[0], column), ("id",), "9")
    odd = landed(stream.end, table)
    stream.target.structure.create([odd], ())
    stream.target.applier.prepare([stream.items, odd])
    stream.target.applier.apply(batch(1, insert(1)))
    with pytest.raises(ValueNotHeld, match=rf"public\.odd\.{column.name}.*id=4"):
        stream.target.applier.apply(batch(2, insert(5), Rows(table, "insert", [(4, value)], [])))
    assert_rolled_back(stream)


def test_what_a_constraint_of_the_target_refuses(stream: Stream) -> None:
    stream.end.query("CREATE TABLE picky (id bigint PRIMARY KEY, u bigint, v varchar(20), CHECK (u < 10))")
    picky = landed(stream.end, replace(ITEMS, name=Name("public", "picky")), made=False)
    stream.target.applier.prepare([stream.items, picky])
    stream.target.applier.apply(batch(1, insert(1)))
    with pytest.raises(CannotApply, match=r"public\.picky \(key id=12\)"):
        stream.target.applier.apply(batch(2, insert(5), Rows(picky.table, "insert", [(12, 12, "secret")], [])))
    assert_rolled_back(stream)


def test_a_part_of_a_copy_has_a_mark_of_its_own(stream: Stream) -> None:
    stream.target.ledger.begin_copy(replace(stream.items, phase="copying"))
    stream.target.applier.apply(chunk(ITEMS, 1))
    assert (stream.keys(), stream.state().mark) == ([1], "0")
    assert stream.state().tables[ITEMS.name].phase == "copying"
    stream.target.applier.apply(chunk(ITEMS, 2, done=True))
    assert (stream.keys(), stream.state().mark) == ([1, 2], "0")
    assert stream.state().tables[ITEMS.name].phase == "copied"
    stream.target.applier.apply(batch(1, insert(3)))
    assert stream.state().mark == "1"


def test_a_copy_needs_no_position(stream: Stream) -> None:
    stream.target.ledger.begin_copy(replace(stream.loose, phase="copying", floor=None))
    stream.target.applier.apply(chunk(LOOSE, 1, position=None))
    stream.target.applier.apply(chunk(LOOSE, done=True, position=None))
    assert stream.state().tables[LOOSE.name].phase == "copied" and stream.rows("loose") == [(1, "x")]


def test_a_copy_that_never_began_is_refused(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    with pytest.raises(PositionLost):
        stream.target.applier.apply(chunk(ITEMS, 5))
    assert_rolled_back(stream)


def test_together_is_one_transaction_with_the_ledger(stream: Stream) -> None:
    copying = [replace(f, phase="copying") for f in (stream.items, stream.loose)]
    with stream.target.applier.together():
        stream.target.ledger.begin_copy(*copying)
        stream.target.applier.apply(chunk(ITEMS, 1, done=True))
        stream.target.applier.apply(chunk(LOOSE, 2, done=True))
        stream.target.ledger.record([replace(stream.items, phase="live", floor="3")])
        assert stream.keys() == [] and stream.state().tables[ITEMS.name].floor == "0"
    tables = stream.state().tables
    assert (stream.keys(), stream.rows("loose")) == ([1], [(2, "x")])
    assert (tables[ITEMS.name].phase, tables[ITEMS.name].floor) == ("live", "3")
    assert tables[LOOSE.name].phase == "copied"
    stream.target.applier.apply(batch(1, insert(3)))
    assert (stream.keys(), stream.state().mark) == ([1, 3], "1")


Break = Callable[[Stream], object]
BREAKS: dict[str, Break] = {
    "apply": lambda s: s.target.applier.apply(chunk(ITEMS, 1, done=True)),
    "ours": lambda s: (_ for _ in ()).throw(KeyboardInterrupt()),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_together_is_nothing_after_an_error(stream: Stream, broken: Break) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    before = stream.end.inventory()
    with pytest.raises((Conflict, KeyboardInterrupt)), stream.target.applier.together():
        stream.target.ledger.begin_copy(replace(stream.items, phase="copying"))
        stream.target.applier.apply(chunk(ITEMS, 7))
        broken(stream)
    assert stream.end.inventory() == before
    assert_rolled_back(stream)


def test_the_position_is_saved_as_its_text(stream: Stream) -> None:
    stream.target.applier.apply(batch(123456789012345678, insert(1)))
    assert stream.state().mark == str(Number(123456789012345678))
