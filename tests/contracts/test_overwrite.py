"""`on_conflict = "overwrite"` at every target: the source's row is what stands there, and such rows are counted."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from replicator.errors import Conflict
from replicator.model.change import Change, Rows
from replicator.model.options import TableOptions
from replicator.model.schema import Name
from replicator.model.values import MISSING, Row
from tests.contracts.streams import ITEMS, LOOSE, Stream, batch, insert

OVERWRITE = TableOptions(on_conflict="overwrite")


def update(*rows: Row) -> Rows:
    return Rows(ITEMS, "update", list(rows), [(row[0],) for row in rows])


def delete(*keys: int) -> Rows:
    return Rows(ITEMS, "delete", [], [(key,) for key in keys])


@pytest.fixture
def yielding(stream: Stream) -> Stream:
    """Rows 1, 2 and 3, of which somebody else then changed the last two."""
    stream.target.applier.apply(batch(1, insert(1, 2, 3)))
    stream.target.applier.prepare([replace(each, options=OVERWRITE) for each in (stream.items, stream.loose)])
    stream.end.query("UPDATE items SET v = 'theirs' WHERE id = 2")
    stream.end.query("DELETE FROM items WHERE id = 3")
    return stream


def counted(stream: Stream, name: Name = ITEMS.name) -> int:
    return stream.state().tables[name].overwritten


def test_rows_that_are_there_and_rows_that_are_gone(yielding: Stream) -> None:
    apply = yielding.target.applier.apply
    yielding.end.query("INSERT INTO items VALUES (4, 40, 'theirs')")
    apply(batch(2, update((2, 2, "y"), (3, 3, "z")), insert(4)))
    assert yielding.rows() == [(1, 1, "x"), (2, 2, "y"), (3, 3, "z"), (4, 4, "x")]
    assert counted(yielding) == 2  # row 2 was there, as the log takes it for
    apply(batch(3, delete(1, 9)))
    assert (yielding.keys(), counted(yielding), yielding.state().mark) == ([2, 3, 4], 3, "3")


def test_nothing_is_counted_where_nothing_was_changed(yielding: Stream) -> None:
    yielding.target.applier.apply(batch(2, update((1, 9, "y")), insert(5)))
    assert (yielding.keys(), counted(yielding)) == ([1, 2, 5], 0)


def test_another_unique_value_stops_it_still(yielding: Stream) -> None:
    yielding.end.query("INSERT INTO items VALUES (7, 70, 'theirs')")
    before = yielding.rows()
    for changes in (insert(70), update((1, 70, "y"))):
        rows = Rows(ITEMS, changes.op, [(row[0], 70, row[2]) for row in changes.rows], changes.keys)
        with pytest.raises(Conflict, match="unique value"):
            yielding.target.applier.apply(batch(2, rows))
    assert (yielding.rows(), counted(yielding), yielding.state().mark) == (before, 0, "1")


def test_a_partial_row_needs_one_that_is_there(yielding: Stream) -> None:
    apply = yielding.target.applier.apply
    with pytest.raises(Conflict, match="without its values of u"):
        apply(batch(2, update((3, MISSING, "z"))))
    apply(batch(2, update((2, MISSING, "z")), delete(9)))
    assert yielding.rows() == [(1, 1, "x"), (2, 2, "z")]
    apply(batch(3, Rows(ITEMS, "update", [(8, MISSING, "moved")], [(2,)]), delete(9)))
    assert yielding.rows() == [(1, 1, "x"), (8, 2, "moved")]


def test_rows_without_a_key(yielding: Stream) -> None:
    apply = yielding.target.applier.apply
    apply(batch(2, insert(1, 2, table=LOOSE)))
    yielding.end.query("DELETE FROM loose WHERE a = 1")
    apply(batch(3, Rows(LOOSE, "delete", [], [(1, "x")]), Rows(LOOSE, "update", [(5, "y")], [(9, "x")])))
    assert yielding.rows("loose") == [(2, "x"), (5, "y")]
    assert (counted(yielding, LOOSE.name), counted(yielding)) == (2, 0)


def test_tables_that_do_not_say_so_stop(yielding: Stream) -> None:
    yielding.target.applier.prepare([yielding.items, replace(yielding.loose, options=OVERWRITE)])
    with pytest.raises(Conflict, match="id=3"):
        yielding.target.applier.apply(batch(2, Rows(LOOSE, "delete", [], [(9, "x")]), update((3, 3, "z"))))
    assert (yielding.state().mark, counted(yielding, LOOSE.name)) == ("1", 0)


def test_random_changes_of_both_end_as_the_source_has_them(yielding: Stream) -> None:
    """Without a second unique value: whatever somebody does to the target, a row that the source changes is its own."""
    rng = random.Random(7)
    rows: dict[int, Row] = {1: (1, None, "x"), 2: (2, None, "x"), 3: (3, None, "x")}
    yielding.end.query("UPDATE items SET u = NULL")
    for number in range(2, 22):
        if rng.random() < 0.7:
            key = rng.randrange(6)
            yielding.end.query(
                rng.choice((f"DELETE FROM items WHERE id = {key}", f"UPDATE items SET v = 't' WHERE id = {key}"))
            )
        changes: list[Change] = []
        touched = set()
        for _ in range(rng.randrange(1, 6)):
            key, text = rng.randrange(6), rng.choice("abc")
            touched.add(key)
            if key not in rows:
                changes.append(Rows(ITEMS, "insert", [(key, None, text)], []))
                rows[key] = (key, None, text)
            elif rng.random() < 0.4:
                changes.append(delete(key))
                del rows[key]
            else:
                changes.append(update((key, None, text)))
                rows[key] = (key, None, text)
        yielding.target.applier.apply(batch(number, *changes))
        found = {row[0]: row for row in yielding.rows()}
        assert {key: found.get(key) for key in touched} == {key: rows.get(key) for key in touched}
