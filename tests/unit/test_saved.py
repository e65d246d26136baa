"""Every canonical type survives the ledger."""

from __future__ import annotations

from typing import get_args

import pytest

from replicator.model import datatypes as t
from replicator.model.datatypes import DataType
from replicator.model.saved import load_shape, save_shape
from replicator.model.schema import Column, Name, Table

TYPES: list[DataType] = [
    t.Boolean(),
    t.Integer(64, signed=False),
    t.Decimal(10, -2),
    t.Decimal(),
    t.Float(32),
    t.Text(5, fixed=True),
    t.Bytes(),
    t.Date(),
    t.Time(zoned=True),
    t.Time(precision=3),
    t.Timestamp(precision=0),
    t.Timestamp(zoned=True),
    t.Interval(),
    t.Duration(3),
    t.Uuid(),
    t.Json(binary=True),
    t.Enum("mood", ("a", "b'c")),
    t.LabelSet(("a", "b'c")),
    t.Array(t.Array(t.Timestamp(zoned=True)), ";"),
    t.Bits(3, varying=True),
    t.Bits(64, number=True),
    t.Mapping(),
    t.Spatial("geometry"),
    t.Vector(3),
    t.Textual("inet"),
]


def test_the_list_is_complete() -> None:
    assert {type(kind) for kind in TYPES} == set(get_args(DataType))


@pytest.mark.parametrize("kind", TYPES, ids=repr)
def test_round_trip(kind: DataType) -> None:
    name = Name("s", 'a"b')
    table = Table(name, (Column("c", kind, True, "1:2", "x"),), ("c",), "5")
    found = load_shape(name, save_shape(table))
    assert (found.columns, found.key, found.id, found.name) == (table.columns, table.key, table.id, name)
