"""A small stream into an SQLite file, without a source: what unit tests of ledger and applier write through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from replicator.engine import Endpoint, Objects
from replicator.engines.sqlite.target import SqliteTarget
from replicator.model.change import Batch, Change, StreamMark
from replicator.model.datatypes import Integer, Text
from replicator.model.schema import Column, Name, Table, UniqueIndex
from replicator.model.stream import Followed


@dataclass(frozen=True)
class Number:
    """A position that is a whole number."""

    value: int

    def covers(self, other: Number, /) -> bool:
        return self.value >= other.value

    def __str__(self) -> str:
        return str(self.value)


def column(name: str, *, nullable: bool = True, text: bool = False) -> Column:
    if text:
        return Column(name, Text(), nullable, "25:-1", "text")
    return Column(name, Integer(64), nullable, "20:-1", "bigint")


ITEMS = Table(
    Name("public", "items"),
    (column("id", nullable=False), column("u"), column("v", text=True)),
    ("id",),
    "1",
    (UniqueIndex("items_u", ("u",)),),
)
LOOSE = Table(Name("public", "loose"), (column("a"), column("b", text=True)), (), "2")


def followed(table: Table) -> Followed:
    return Followed(table, Name("main", table.name.name), "live", "0", made=True, may_empty=True)


def open_target(path: Path) -> SqliteTarget:
    target = SqliteTarget(Endpoint(f"sqlite:///{path}", f"sqlite:///{path}"))
    target.open("test")
    return target


@contextmanager
def stream(path: Path, *tables: Table) -> Iterator[SqliteTarget]:
    """A stream `test` whose copy is done, at position 0."""
    target = open_target(path)
    try:
        target.ledger.claim("test", "{}", Objects(), ())
        mine = [followed(table) for table in tables]
        target.structure.create(mine, ())
        target.structure.finish(mine)
        target.ledger.record(mine, mark=Number(0), phase="streaming")
        target.applier.prepare(mine)
        yield target
    finally:
        target.close()


def batch(mark: int, *changes: Change, complete: bool = True) -> Batch:
    return Batch(changes, (), StreamMark(Number(mark)) if complete else None, complete, size=1)
