"""What every catalog promises: the tables that match, and what is left out of them."""

from __future__ import annotations

from contextlib import closing

import pytest

from replicator.engine import Catalog, Objects, find
from replicator.model.schema import Name
from replicator.model.selection import Exactly, Selection
from tests.contracts.engines import CopySourceUnderTest, TargetUnderTest
from tests.contracts.streams import table_of


def listed(catalog: Catalog, *patterns: str, exclude: tuple[str, ...] = ()) -> list[str]:
    tables = catalog.tables(Selection(patterns, exclude), {}).tables
    assert all(table.name.schema == catalog.default_schema for table in tables)
    return [table.name.name for table in tables]


def test_it_lists_every_table_of_a_selection(copied: CopySourceUnderTest) -> None:
    catalog = copied.source.catalog
    here = catalog.default_schema
    assert sorted(listed(catalog)) == ["loose", "other", "t"]
    assert listed(catalog, "t") == listed(catalog, f"{here}.t") == ["t"]
    assert sorted(listed(catalog, "*o*")) == ["loose", "other"]
    assert sorted(listed(catalog, exclude=("other",))) == ["loose", "t"]
    assert listed(catalog, "absent") == []
    name = Name(here, "t")
    assert [t.name for t in catalog.tables(Exactly(places={name: name}), {}).tables] == [name]


def test_a_table_is_as_it_was_declared(copied: CopySourceUnderTest) -> None:
    copied.execute("CREATE TABLE pair (b int, a int, u int NOT NULL UNIQUE, w int, PRIMARY KEY (a, b))")
    pair = table_of(copied, "pair")
    assert pair.name == Name(copied.source.catalog.default_schema, "pair")
    assert (pair.names, pair.key, pair.key_at) == (("b", "a", "u", "w"), ("a", "b"), (1, 0))
    assert [index.columns for index in pair.uniques] == [("u",)]
    assert [column.nullable for column in pair.columns][2:] == [False, True]
    assert all(column.native_name for column in pair.columns)
    assert table_of(copied, "loose").key == ()
    assert table_of(copied, "loose").uniques == ()


def test_it_says_what_cannot_be_copied(copied: CopySourceUnderTest) -> None:
    copied.execute("CREATE VIEW seen AS SELECT id FROM t")
    listing = copied.source.catalog.tables(Selection(), {})
    assert "seen" not in [table.name.name for table in listing.tables]
    (found,) = listing.findings
    assert found.level in ("refuse", "warn") and "seen" in found.what
    assert copied.source.catalog.tables(Selection(exclude=("seen",)), {}).findings == ()


def test_it_knows_what_was_made_meanwhile(copied: CopySourceUnderTest) -> None:
    catalog = copied.source.catalog
    assert listed(catalog, "late") == []
    copied.execute("CREATE TABLE late (id int PRIMARY KEY)")
    assert listed(catalog, "late") == ["late"]
    copied.execute("DROP TABLE late")
    assert listed(catalog, "late") == []


LEFT_OUT = {
    "index": "CREATE INDEX plain ON plain_table (w)",
    "foreign key": "",
    "default": "",
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_it_notes_what_is_not_followed(copied: CopySourceUnderTest, what: str) -> None:
    columns = {"default": "w int DEFAULT 7", "foreign key": "w int, FOREIGN KEY (w) REFERENCES t (id)"}
    copied.execute(f"CREATE TABLE plain_table (id int PRIMARY KEY, {columns.get(what, 'w int')})")
    if LEFT_OUT[what]:
        copied.execute(LEFT_OUT[what])
    notes = copied.source.catalog.left_out([table_of(copied, "plain_table"), table_of(copied)])
    assert notes and {note.level for note in notes} == {"note"}
    assert any("plain_table" in note.what and what in note.what for note in notes)
    assert not any(f"{copied.source.catalog.default_schema}.t:" in note.what for note in notes)


def test_of_a_plain_table_there_is_nothing_to_note(copied: CopySourceUnderTest) -> None:
    tables = copied.source.catalog.tables(Selection(), {}).tables
    assert copied.source.catalog.left_out(tables) == []
    assert copied.source.catalog.left_out([]) == []


def test_reading_it_touches_nothing(copied: CopySourceUnderTest) -> None:
    before = copied.inventory()
    tables = copied.source.catalog.tables(Selection(), {}).tables
    copied.source.catalog.left_out(tables)
    assert copied.inventory() == before


def test_a_ledger_is_never_followed(landing: TargetUnderTest) -> None:
    """A target may be a source to somebody else: its bookkeeping is no table of anybody's. One that is only named
    alike is."""
    with closing(landing.make()) as target:
        target.open("s")
        target.ledger.claim("s", "{}", Objects(), ())
    mine = ("_replicator_mine", "streams")
    for name in mine:
        landing.query(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    engine = find(landing.url)
    with closing(engine.copy_source(engine.endpoint(landing.url, None), print)) as source:
        tables = source.catalog.tables(Selection((f"{source.catalog.default_schema}.*", "replicator.*")), {}).tables
        assert {table.name.name for table in tables} == {*mine}
