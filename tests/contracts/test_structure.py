"""What every target's structure promises: the tables there, and those that we make."""

from __future__ import annotations

from dataclasses import replace

import pytest

from replicator.errors import ReplicatorError
from replicator.model.change import Encoded, Rows, Truncate
from replicator.model.datatypes import Integer
from replicator.model.schema import Column, Name, Table
from replicator.model.values import Row
from tests.contracts.engines import TargetUnderTest
from tests.contracts.streams import ITEMS, LOOSE, Number, Stream, batch, insert, landed

NEW = replace(ITEMS, name=Name("public", "new"))


def test_tables_that_can_land_are_not_refused_and_nothing_is_touched(landing: TargetUnderTest) -> None:
    before = landing.inventory()
    tables = [landed(landing, ITEMS), landed(landing, LOOSE)]
    target = landing.make()
    assert [each for each in target.findings() if each.level == "refuse"] == []
    for known in ({}, {ITEMS.name: tables[0]}):
        assert [f for f in target.structure.findings(tables, known) if f.level == "refuse"] == []
    assert target.structure.survey(tables) == {ITEMS.name: "absent", LOOSE.name: "absent"}
    assert [len(target.structure.stored(table)) for table in tables] == [3, 2]
    assert landing.inventory() == before


def test_looking_at_tables_that_are_there_touches_nothing(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    before = stream.end.inventory()
    tables = [stream.items, stream.loose]
    structure = stream.target.structure
    assert structure.findings(tables, stream.state().tables) == []
    assert structure.survey(tables) == {ITEMS.name: "filled", LOOSE.name: "empty"}
    assert stream.end.inventory() == before


def test_a_table_of_somebody_else_that_does_not_fit_is_refused(stream: Stream) -> None:
    stream.end.query("CREATE TABLE new (id bigint NOT NULL PRIMARY KEY, v int)")
    before = stream.end.inventory()
    found = stream.target.structure.findings([landed(stream.end, NEW, made=False)], {})
    refused = [finding for finding in found if finding.level == "refuse"]
    assert refused and all("new" in finding.what for finding in refused)
    assert stream.end.inventory() == before


def test_what_the_target_cannot_have_is_refused(stream: Stream) -> None:
    """A policy that nobody knows, for one."""
    wrong = landed(stream.end, NEW, policies={"v": {"no such policy": "x"}})
    assert [f.level for f in stream.target.structure.findings([wrong], {})] == ["refuse"]


def test_stored_names_a_type_for_each_column(stream: Stream) -> None:
    types = stream.target.structure.stored(stream.items)
    assert len(types) == 3 and all(types) and types[0] != types[2]


def test_rows_that_cannot_be_held_are_named(stream: Stream) -> None:
    column, value = stream.end.unheld
    odd = landed(stream.end, Table(Name("public", "odd"), (ITEMS.columns[0], column), ("id",), "9"))
    before = stream.end.inventory()
    unheld = stream.target.structure.unheld
    (found,) = unheld(odd, [(1, None), (2, value), (3, None)])
    assert "id=2" in found and column.name in found
    assert len(unheld(odd, [(1, value), (2, None), (3, value)])) == 2
    assert unheld(odd, [(1, None)]) == unheld(odd, []) == []
    assert unheld(stream.items, insert(1, 2).rows) == []
    assert stream.end.inventory() == before


DATA = {"postgresql copy text": b"1\t10\ta\\tb\n2\t\\N\t\\N\n"}
"""Two rows of `items` in every format that there is."""
ROWS: list[Row] = [(1, 10, "a\tb"), (2, None, None)]


def test_rows_in_a_format_that_it_takes_are_the_rows(stream: Stream) -> None:
    before = stream.end.inventory()
    formats = stream.target.structure.formats(stream.items)
    assert set(formats) <= set(DATA) and stream.end.inventory() == before
    for number, form in enumerate(formats, start=1):
        encoded = Encoded(ITEMS, form, DATA[form], 2, lambda: Rows(ITEMS, "insert", list(ROWS), []))
        stream.target.applier.apply(batch(number, Truncate((ITEMS,)), encoded))
        assert stream.rows() == sorted(ROWS, key=repr)


def test_create_makes_what_is_absent_and_leaves_the_rest(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    new = landed(stream.end, NEW)
    stream.target.structure.create([stream.items, new], ())
    assert stream.target.structure.survey([stream.items, new]) == {ITEMS.name: "filled", NEW.name: "empty"}
    there = stream.end.inventory()
    stream.target.structure.create([stream.items, new], ())
    assert stream.end.inventory() == there
    assert stream.end.query("SELECT id, u, v FROM new") == []


def test_create_makes_anew_what_is_ours(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    wider = replace(ITEMS, columns=(*ITEMS.columns, Column("w", Integer(64), True, "20:-1", "bigint")))
    stream.target.structure.create([replace(stream.items, table=wider)], [ITEMS.name])
    assert stream.end.query("SELECT id, u, v, w FROM items") == []


def test_create_never_remakes_what_is_somebody_elses(stream: Stream) -> None:
    stream.target.applier.apply(batch(1, insert(1)))
    before = stream.end.inventory()
    stream.target.structure.create([replace(stream.items, made=False)], [ITEMS.name])
    assert stream.end.inventory() == before


def test_remake_is_by_the_sources_name(stream: Stream) -> None:
    moved = landed(stream.end, ITEMS, target=stream.end.name("elsewhere"))
    stream.target.structure.create([moved], ())
    stream.end.query("INSERT INTO elsewhere VALUES (1, 1, 'x')")
    before = stream.end.inventory()
    stream.target.structure.create([moved], [moved.target, NEW.name])
    assert stream.end.inventory() == before


def test_finish_makes_the_unique_indexes(stream: Stream) -> None:
    new = landed(stream.end, NEW)
    stream.target.structure.create([new], ())
    stream.end.query("INSERT INTO new VALUES (1, 7, 'x'), (2, NULL, 'y'), (3, NULL, 'z')")
    stream.end.query("INSERT INTO new VALUES (4, 7, 'not unique yet')")
    stream.end.query("DELETE FROM new WHERE id = 4")
    stream.target.structure.finish([new])
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        stream.end.query("INSERT INTO new VALUES (5, 7, 'taken')")
    there = stream.end.inventory()
    stream.target.structure.finish([new])
    assert stream.end.inventory() == there


def test_finish_says_what_is_not_unique(stream: Stream) -> None:
    new = landed(stream.end, NEW)
    stream.target.structure.create([new], ())
    stream.end.query("INSERT INTO new VALUES (1, 7, 'x'), (2, 7, 'y')")
    with pytest.raises(ReplicatorError):
        stream.target.structure.finish([new])
    stream.target.applier.rollback()
    assert len(stream.rows("new")) == 2


def test_finish_leaves_a_table_of_somebody_else(stream: Stream) -> None:
    stream.end.query("CREATE TABLE new (id bigint PRIMARY KEY, u bigint, v varchar(20))")
    before = stream.end.inventory()
    stream.target.structure.finish([landed(stream.end, NEW, made=False)])
    assert stream.end.inventory() == before


def test_drop_removes_what_is_ours_where_it_is_there(stream: Stream) -> None:
    absent = landed(stream.end, NEW)
    stream.target.structure.drop([stream.items, absent, replace(stream.loose, made=False)])
    found = stream.target.structure.survey([stream.items, absent, stream.loose])
    assert found == {ITEMS.name: "absent", NEW.name: "absent", LOOSE.name: "empty"}
    stream.target.structure.drop([stream.items])


@pytest.mark.parametrize("what", ["create", "finish", "drop"])
def test_after_each_the_fence_is_free(stream: Stream, what: str) -> None:
    """Each is a transaction of its own, that ends with it."""
    new = landed(stream.end, NEW)
    stream.target.structure.create([new], ())
    if what != "create":
        getattr(stream.target.structure, what)([new])
    stream.target.ledger.record([], mark=Number(5))
    second = stream.another_run()
    second.applier.apply(batch(6, insert(1)))
    assert stream.state().mark == "6"
