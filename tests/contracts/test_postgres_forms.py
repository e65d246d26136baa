"""What other engines' values are in PostgreSQL: the same by COPY, by INSERT, by UPDATE of one row and of many."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest

from replicator.engine import Objects, Target
from replicator.errors import CannotApply, ValueNotHeld
from replicator.model import datatypes as d
from replicator.model.change import Rows
from replicator.model.schema import Column, Name, Table
from replicator.model.stream import Followed
from replicator.model.values import Value
from tests.contracts.engines import TARGETS, TargetUnderTest
from tests.contracts.streams import ITEMS, Number, batch

Policies = Mapping[str, str]
HELD: list[tuple[d.DataType, Policies, str, Value, str]] = [
    (d.Boolean(), {}, "boolean", True, "true"),
    (d.Integer(8), {}, "smallint", -128, "-128"),
    (d.Integer(8), {"as": "boolean"}, "boolean", 1, "true"),
    (d.Integer(16, signed=False), {}, "integer", 65535, "65535"),
    (d.Integer(24, signed=False), {}, "integer", 16777215, "16777215"),
    (d.Integer(32, signed=False), {}, "bigint", 4294967295, "4294967295"),
    (d.Integer(64, signed=False), {}, "numeric(20,0)", 2**64 - 1, str(2**64 - 1)),
    (d.Integer(64, signed=False), {"as": "bigint"}, "bigint", 2**63 - 1, str(2**63 - 1)),
    (d.Decimal(5, 2), {}, "numeric(5,2)", "-999.90", "-999.90"),
    (d.Decimal(65, 30), {}, "numeric(65,30)", "1." + "0" * 29 + "1", "1." + "0" * 29 + "1"),
    (d.Float(32), {}, "real", 0.1, "0.1"),
    (d.Float(64), {}, "double precision", -0.0, "-0"),
    (d.Text(3), {}, "character varying(3)", "é\\ ", "é\\ "),
    (d.Text(3, fixed=True), {}, "character varying(3)", "a", "a"),
    (d.Text(), {"nul": "strip"}, "text", "a\0b", "ab"),
    (d.Text(), {"nul": "bytea"}, "bytea", "a\0b", "\\x610062"),
    (d.Text(), {}, "text", '{"a",NULL}\t\n\r\\N \'"', '{"a",NULL}\t\n\r\\N \'"'),
    (d.Bytes(), {}, "bytea", b"\x00\\'\xff", "\\x005c27ff"),
    (d.Date(), {}, "date", "9999-12-31", "9999-12-31"),
    (d.Date(), {"zero_date": "text"}, "text", "2015-00-21", "2015-00-21"),
    (d.Timestamp(precision=3), {}, "timestamp(3) without time zone", "2024-02-29 01:02:03.5", "2024-02-29 01:02:03.5"),
    (d.Timestamp(precision=0), {"zero_date": "null"}, "timestamp(0) without time zone", "0000-00-00 00:00:00", ""),
    (d.Timestamp(True, 6), {}, "timestamp(6) with time zone", "2106-02-07 06:28:15+00", "2106-02-07 06:28:15+00"),
    (d.Time(precision=2), {}, "time(2) without time zone", "23:59:59.99", "23:59:59.99"),
    (d.Duration(), {}, "interval", "-838:59:59.5", "PT-838H-59M-59.5S"),
    (d.Duration(1), {"as": "time"}, "time(1) without time zone", "23:59:59.5", "23:59:59.5"),
    (d.Uuid(), {}, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    (d.Json(), {}, "json", '{"a":1, "a":2}', '{"a":1, "a":2}'),
    (d.Json(True), {}, "jsonb", '{"a": 1.00}', '{"a": 1.00}'),
    (d.Json(True), {"as": "json"}, "json", '{"a":1}', '{"a":1}'),
    (d.Enum("e", ("a'b", 'c"d')), {}, "text", "a'b", "a'b"),
    (d.LabelSet(("a", 'b"', "c\\")), {}, "text[]", 'a,b",c\\', '{a,"b\\"","c\\\\"}'),
    (d.LabelSet(("a", "b")), {}, "text[]", "", "{}"),
    (d.LabelSet(("a", "b")), {"as": "text"}, "text", "a,b", "a,b"),
    (d.Bits(8, number=True), {}, "bit(8)", "00000101", "00000101"),
    (d.Bits(1, number=True), {"as": "boolean"}, "boolean", "1", "true"),
    (d.Vector(2), {}, "real[]", struct.pack("<2f", 0.1, -1e20), "{0.1,-1e+20}"),
    (d.Spatial("point"), {}, "bytea", "0101000000", "\\x0101000000"),
    (d.Textual("inet4"), {}, "inet", "10.0.0.1", "10.0.0.1/32"),
    (d.Textual("no_such_type"), {}, "text", "x", "x"),
]
UNHELD: list[tuple[d.DataType, Policies, Value]] = [
    (d.Integer(8), {"as": "boolean"}, 2),
    (d.Integer(64, signed=False), {"as": "bigint"}, 2**63),
    (d.Decimal(5, 2), {}, "1000.00"),
    (d.Decimal(5, 2), {}, "0.001"),
    (d.Text(3), {}, "a   "),
    (d.Text(), {}, "a\0"),
    (d.Date(), {}, "0000-00-00"),
    (d.Date(), {}, "2015-00-21"),
    (d.Date(), {}, "2023-02-29"),
    (d.Timestamp(), {}, "0000-00-00 00:00:00"),
    (d.Timestamp(precision=3), {}, "2024-01-01 00:00:00.0001"),
    (d.Timestamp(True), {}, "2024-01-01 00:00:00"),
    (d.Time(precision=0), {}, "00:00:00.5"),
    (d.Duration(), {"as": "time"}, "24:00:00"),
    (d.Duration(), {"as": "time"}, "-01:00:00"),
    (d.Enum("e", ("a",)), {}, ""),
    (d.Bits(8, number=True), {}, "101"),
]
REFUSED: list[tuple[d.DataType, str]] = [
    (d.Json(True), '{"a": "\\u0000"}'),
    (d.Json(), "{secret"),
    (d.Textual("inet"), "secret"),
]


@pytest.fixture
def under(request: pytest.FixtureRequest) -> Iterator[tuple[TargetUnderTest, Target]]:
    with TARGETS["postgres:postgres18"](request) as end, closing(end.make()) as target:
        target.open("forms")
        target.ledger.claim("forms", "{}", Objects(), ())
        target.ledger.record([], mark=Number(0), phase="streaming")
        yield end, target


def made(target: Target, kinds: list[tuple[d.DataType, Policies]]) -> Followed:
    columns = tuple(Column(f"c{n}", kind, True, "", "another engine's") for n, (kind, _) in enumerate(kinds))
    table = Table(Name("public", "forms"), (ITEMS.columns[0], *columns), ("id",), "7")
    policies = {f"c{n}": chosen for n, (_, chosen) in enumerate(kinds) if chosen}
    followed = Followed(table, Name("public", "forms"), "live", "0", True, True, policies)
    assert [f.what for f in target.structure.findings([followed], {}) if f.level == "refuse"] == []
    target.structure.create([followed], ())
    target.applier.prepare([followed])
    return followed


def test_values_are_the_same_in_every_way_of_writing(under: tuple[TargetUnderTest, Target]) -> None:
    end, target = under
    table = made(target, [(kind, chosen) for kind, chosen, *_ in HELD]).table
    values, nothing = tuple(row[3] for row in HELD), (None,) * len(HELD)

    def rows(op: Any, keys: range, what: tuple[Value, ...]) -> Rows:
        return Rows(table, op, [(key, *what) for key in keys], [(key,) for key in keys] if op == "update" else [])

    target.applier.apply(batch(1, rows("insert", range(1, 8), values)))
    target.applier.apply(batch(2, rows("insert", range(8, 9), values)))
    target.applier.apply(batch(3, rows("insert", range(9, 17), nothing)))
    target.applier.apply(batch(4, rows("update", range(9, 16), values)))
    target.applier.apply(batch(5, rows("update", range(16, 17), values)))
    shown = ", ".join(f"coalesce(c{n}::text, '')" for n in range(len(HELD)))
    session = "SET intervalstyle = iso_8601; SET timezone = 'UTC'"
    end.query(session)
    found = end.query(f"SELECT DISTINCT {shown} FROM forms")
    assert len(found) == 1
    assert list(found[0]) == [row[4] for row in HELD]
    kinds = end.query(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'forms'::regclass AND attnum > 1 "
        "ORDER BY attnum"
    )
    assert [kind for (kind,) in kinds] == [row[2] for row in HELD]


@pytest.mark.parametrize(("kind", "chosen", "value"), UNHELD, ids=map(str, range(len(UNHELD))))
def test_what_a_column_does_not_hold_exactly_stops(
    under: tuple[TargetUnderTest, Target], kind: d.DataType, chosen: Policies, value: Value
) -> None:
    _, target = under
    table = made(target, [(kind, chosen)]).table
    with pytest.raises(ValueNotHeld, match=r"public\.forms\.c0 \(id=4711\)"):
        target.applier.apply(batch(1, Rows(table, "insert", [(1, None), (4711, value)], [])))


@pytest.mark.parametrize(("kind", "value"), REFUSED, ids=["NUL in jsonb", "no JSON", "no address"])
def test_what_the_server_refuses_is_told_by_its_key(
    under: tuple[TargetUnderTest, Target], kind: d.DataType, value: str
) -> None:
    _, target = under
    table = made(target, [(kind, {})]).table
    many = [(key, None) for key in range(1, 10)]
    with pytest.raises(CannotApply, match=r"public\.forms \(key id=4711\)") as caught:
        target.applier.apply(batch(1, Rows(table, "insert", [*many, (4711, value)], [])))
    assert value not in str(caught.value)
