"""Ledgers of older formats, as their own programs wrote them (`ledgers/version*.sql`), read and brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replicator.engine import Endpoint, Ledger, Objects
from replicator.engines.sqlite.target import SqliteTarget
from replicator.errors import Refused
from replicator.model.change import Batch, CopyMark, Rows
from replicator.model.position import NEVER
from replicator.model.schema import Name, Table
from replicator.model.stream import Beat, Followed, Identity, StreamState
from replicator.sql import ledger as ledger_module
from replicator.sql import migrations
from replicator.sql.tables import FORMAT_VERSION, LedgerTables, since
from tests.unit.streams import ITEMS, Number, batch, open_target

LEDGERS = Path(__file__).parent / "ledgers"
SOURCE = '{"system": "7431", "timeline": 1, "database": "shop", "url": "postgresql://reader@db/shop"}'
UID = "84932b8052baab94973dcae3cc80eee3"
GONE, HALF, LOOSE = (Name("public", name) for name in ("gone", "half", "loose"))
BEAT = Beat(4711, "here", 1700000000.25, 1700000005.5, "13", 4096, "the connection was lost")
Read = Callable[[Ledger], object]


@pytest.fixture(params=range(1, FORMAT_VERSION))
def version(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    """A file with the rows of an older version."""
    found = tmp_path / "t.db"
    with closing(sqlite3.connect(found)) as connection:
        connection.executescript((LEDGERS / f"version{version}.sql").read_text())
    return found


@pytest.fixture
def reading(path: Path) -> Iterator[SqliteTarget]:
    target = SqliteTarget(Endpoint(f"sqlite:///{path}", ""))
    assert target.look()
    yield target
    target.close()


@pytest.fixture
def writing(path: Path) -> Iterator[SqliteTarget]:
    target = open_target(path)
    yield target
    target.close()


def sql(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


def kept(state: StreamState | None) -> dict[str, object]:
    """All that every version keeps of a stream, but its epoch; shapes as their own text."""
    assert state is not None
    tables = {
        name: replace(found, table=ITEMS) if found.table.columns == ITEMS.columns else found
        for name, found in state.tables.items()
    }
    shapes = {name: (found.table.id, found.table.key, found.table.uniques) for name, found in state.tables.items()}
    return {**vars(state), "epoch": None, "tables": tables, "shapes": shapes}


def followed(name: str, phase: Any, floor: object, **more: Any) -> Followed:
    return Followed(ITEMS, Name("main", name), phase, str(floor), made=True, may_empty=True, **more)


SHOP: dict[str, object] = {
    "identity": Identity("shop", UID, "theirs", None),
    "source": SOURCE,
    "phase": "streaming",
    "epoch": None,
    "mark": "12",
    "within": 0,
    "tables": {
        ITEMS.name: followed("items", "live", 10, policies={"v": {"as": "text"}}, carried="16400/table 16410/16390"),
        GONE: followed("gone", "left", NEVER, carried="16400/table 16411/16391"),
        HALF: followed("half", "copying", 11),
    },
    "shapes": {ITEMS.name: ("1", ("id",), ITEMS.uniques), GONE: ("3", ("id",), ()), HALF: ("4", ("id",), ())},
}


def test_every_older_version_has_its_rows() -> None:
    assert sorted(each.name for each in LEDGERS.iterdir()) == [f"version{n}.sql" for n in range(1, FORMAT_VERSION)]


READS: dict[str, tuple[Read, object]] = {
    "names": (lambda ledger: ledger.names(), ["shop", "young"]),
    "peek": (lambda ledger: kept(ledger.peek("shop")), SHOP),
    "heard": (lambda ledger: ledger.heard("shop"), BEAT),
    "heard nothing": (lambda ledger: ledger.heard("young"), None),
    "owners": (
        lambda ledger: ledger.owners("another"),
        {Name("main", "items"): "shop", Name("main", "half"): "shop", Name("main", "loose"): "young"},
    ),
}


@pytest.mark.parametrize("what", READS)
def test_an_older_ledger_is_read_and_no_byte_of_it_changed(
    path: Path, reading: SqliteTarget, what: str, version: int
) -> None:
    read, expected = READS[what]
    before = path.read_bytes()
    assert read(reading.ledger) == expected
    reading.close()
    assert path.read_bytes() == before
    assert sql(path, "SELECT version FROM _replicator_format") == [(version,)]


def test_a_runner_that_only_reads_leaves_it_as_it_is(path: Path, writing: SqliteTarget, version: int) -> None:
    """Opened for writing, too: it is the claim that changes the format."""
    for read, expected in READS.values():
        assert read(writing.ledger) == expected
    assert sql(path, "SELECT version FROM _replicator_format") == [(version,)]


def test_a_claim_brings_it_to_this_version_with_every_value(path: Path, writing: SqliteTarget) -> None:
    state = writing.ledger.claim("shop", "{}", Objects("another", "another"), ())
    assert kept(state) == kept(writing.ledger.peek("shop")) == SHOP
    assert state.epoch == 3
    assert writing.ledger.heard("shop") == BEAT
    young = writing.ledger.peek("young")  # the streams that were not claimed, too
    assert young is not None and (young.phase, young.epoch, young.mark) == ("preparing", 1, None)
    assert young.identity == Identity("young", "b9ab861ddeea36ab63b78a8e2675f1f2")
    assert young.tables[LOOSE].phase == "chosen" and young.tables[LOOSE].floor is None
    assert sql(path, "SELECT version FROM _replicator_format") == [(FORMAT_VERSION,)]
    assert sql(path, "SELECT * FROM _replicator_parts") == [("shop", "public", "half", 0, 3, "11", '["1"]', 0)]


def test_it_is_then_as_one_that_was_made_so(path: Path, writing: SqliteTarget, tmp_path: Path) -> None:
    """The same columns with the same types, by name: those that came later stand last."""
    writing.ledger.claim("shop", SOURCE, Objects(), ())
    fresh = tmp_path / "fresh.db"
    with closing(open_target(fresh)) as other:
        other.ledger.claim("shop", SOURCE, Objects(), ())
    columns = (
        'SELECT m.name, c.name, c.type, c."notnull", c.pk FROM sqlite_master m, pragma_table_info(m.name) c '
        "WHERE m.name LIKE '\\_replicator\\_%' ESCAPE '\\' AND m.type = 'table' ORDER BY 1, 2"
    )
    assert sql(path, columns) == sql(fresh, columns)
    assert {c.name for t in LedgerTables(False).metadata.tables.values() for c in t.columns if since(c) > 1}


def test_a_run_goes_on_from_there(path: Path, writing: SqliteTarget) -> None:
    state = writing.ledger.claim("shop", SOURCE, Objects(), ())
    tables: dict[Name, Table] = {name: found.table for name, found in state.tables.items()}
    plain = [replace(found, policies={}) for found in state.tables.values()]
    writing.applier.prepare(plain)
    writing.applier.apply(batch(13, Rows(tables[ITEMS.name], "update", [(1, 11, "b")], [(1,)])))
    part = CopyMark(tables[HALF], 0, Number(11), ("2",), True)
    writing.applier.apply(Batch((Rows(tables[HALF], "insert", [(2, 2, "y")], []),), (), part))
    writing.ledger.record([replace(state.tables[HALF], phase="live", as_of="2026-01-01T00:00:00.000000Z")])
    writing.ledger.beat("shop", replace(BEAT, lag_seconds=1.5))
    assert sql(path, "SELECT * FROM items") == [(1, 11, "b")]
    assert sql(path, "SELECT id FROM half") == [(1,), (2,)]
    found = writing.ledger.peek("shop")
    assert found is not None and found.mark == "13"
    assert (found.tables[HALF].phase, found.tables[HALF].as_of) == ("live", "2026-01-01T00:00:00.000000Z")
    assert writing.ledger.heard("shop") == replace(BEAT, lag_seconds=1.5)


UNKNOWN = {
    "newer": f"UPDATE _replicator_format SET version = {FORMAT_VERSION + 1}",
    "zero": "UPDATE _replicator_format SET version = 0",
    "negative": "UPDATE _replicator_format SET version = -1",
    "none": "DELETE FROM _replicator_format",
    "two": f"INSERT INTO _replicator_format VALUES ({FORMAT_VERSION})",
    "text": "CREATE TABLE f AS SELECT 'two' AS version; DROP TABLE _replicator_format; "
    "ALTER TABLE f RENAME TO _replicator_format",
}


@pytest.mark.parametrize("statements", UNKNOWN.values(), ids=UNKNOWN)
def test_a_version_that_nobody_knows_is_refused(path: Path, statements: str) -> None:
    for statement in statements.split("; "):
        sql(path, statement)
    before = path.read_bytes()
    with closing(SqliteTarget(Endpoint(f"sqlite:///{path}", ""))) as target:
        assert target.look()
        for read, _ in READS.values():
            with pytest.raises(Refused, match="format version"):
                read(target.ledger)
    assert path.read_bytes() == before
    with closing(open_target(path)) as target, pytest.raises(Refused, match="format version"):
        target.ledger.claim("shop", SOURCE, Objects(), ())
    assert sql(path, "SELECT epoch FROM _replicator_streams WHERE name = 'shop'") == [(2,)]


@pytest.mark.parametrize("after", ["migration", "claim"])
def test_a_migration_that_is_cut_off_changes_nothing(
    path: Path, writing: SqliteTarget, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    def cut(connection: Any, tables: LedgerTables, version: int) -> None:
        migrations.migrate(connection, tables, version)
        assert connection.exec_driver_sql("SELECT version FROM _replicator_format").all() == [(FORMAT_VERSION,)]
        raise KeyboardInterrupt

    def cut_later(*_: object) -> None:
        raise KeyboardInterrupt

    before = list(dumped(path))
    with monkeypatch.context() as patch:
        if after == "migration":
            patch.setattr(ledger_module, "migrate", cut)
        else:
            patch.setattr(ledger_module.SqlLedger, "_leave", cut_later)
        with pytest.raises(KeyboardInterrupt):
            writing.ledger.claim("shop", SOURCE, Objects(), ())
    assert list(dumped(path)) == before
    assert kept(writing.ledger.peek("shop")) == SHOP
    assert writing.ledger.claim("shop", SOURCE, Objects(), ()).epoch == 3


def dumped(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        yield from connection.iterdump()
