"""Transactions in two phases: kept at the target with the mark that passes the first, applied or forgotten at the
second."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engine import Objects
from replicator.errors import PositionLost, Refused, SchemaChanged
from replicator.model.change import Prepared, Resolved, Rows, Truncate
from replicator.model.schema import Name, Table
from replicator.model.values import MISSING, Row
from replicator.sql import kept
from tests.unit.streams import ITEMS, LOOSE, batch, column, followed, open_target, stream

XID = "X'61',X'',1"
INSERT = Rows(ITEMS, "insert", [(1, 1, "a"), (2, 2, "b")], [])
UPDATE = Rows(ITEMS, "update", [(1, MISSING, "changed")], [(1,)])


def items(target: Any) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = target._session.execute("SELECT id, u, v FROM items ORDER BY id").fetchall()
    return found


def waiting(target: Any) -> int:
    found: int = target._session.execute("SELECT count(*) FROM _replicator_prepared").fetchone()[0]
    return found


def test_rows_are_there_after_the_second_phase_only(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        target.applier.apply(batch(1, Prepared(XID, (INSERT,))))
        target.applier.apply(batch(2, Prepared("other", ())))
        assert items(target) == [] and waiting(target) == 2
        target.applier.apply(batch(3, Resolved(XID, True, (ITEMS,))))
        assert items(target) == [(1, 1, "a"), (2, 2, "b")] and waiting(target) == 1
        target.applier.apply(batch(4, Resolved("other", True, (ITEMS,))))
        assert waiting(target) == 0


def test_they_outlive_the_run(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        target.applier.apply(batch(1, Prepared(XID, (INSERT,)), complete=False))
        target.applier.apply(batch(1, Prepared(XID, (UPDATE,))))
    with closing(open_target(tmp_path / "t.db")) as target:
        target.ledger.claim("test", "{}", Objects(), ())
        target.applier.prepare([followed(ITEMS)])
        target.applier.apply(batch(2, Resolved(XID, True, (ITEMS,))))
        assert items(target) == [(1, 1, "changed"), (2, 2, "b")]


def test_a_part_that_is_cut_off_is_not_kept(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        target.applier.apply(batch(1, Prepared(XID, (INSERT,)), complete=False))
        target.applier.rollback()
        assert waiting(target) == 0


def test_what_is_rolled_back_is_forgotten(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        target.applier.apply(batch(1, Prepared(XID, (INSERT,))))
        target.applier.apply(batch(2, Resolved(XID, False, (ITEMS,)), Resolved("never seen", False, (ITEMS,))))
        assert items(target) == [] and waiting(target) == 0


def test_a_name_may_be_used_again(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        target.applier.apply(
            batch(1, Prepared(XID, (INSERT,)), Resolved(XID, True, (ITEMS,)), Prepared(XID, (UPDATE,)))
        )
        assert items(target) == [(1, 1, "a"), (2, 2, "b")]
        target.applier.apply(batch(2, Resolved(XID, True, (ITEMS,))))
        assert items(target)[0] == (1, 1, "changed")


def test_a_commit_of_rows_that_were_never_seen_is_a_lost_position(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS) as target:
        with pytest.raises(PositionLost, match="never seen"):
            target.applier.apply(batch(1, INSERT, Resolved("unknown", True, (ITEMS,))))
        assert items(target) == []
        state = target.ledger.peek("test")
        assert state is not None and state.mark == "0"


def test_tables_whose_copy_has_it_are_passed_over(tmp_path: Path) -> None:
    with stream(tmp_path / "t.db", ITEMS, LOOSE) as target:
        both = (INSERT, Rows(LOOSE, "insert", [(1, "x")], []), Truncate((LOOSE, ITEMS)))
        target.applier.apply(batch(1, Prepared(XID, both[:2])))
        target.applier.apply(batch(2, Resolved(XID, True, (LOOSE,))))
        assert items(target) == []
        assert target._session.execute("SELECT a FROM loose").fetchall() == [(1,)]  # type: ignore[union-attr]


def test_a_table_that_has_changed_stops() -> None:
    other = Table(ITEMS.name, (*ITEMS.columns, column("more")), ("id",), "1")
    with pytest.raises(SchemaChanged, match="other columns"):
        kept.load(kept.save([INSERT]), [other])


def test_a_damaged_text_is_refused() -> None:
    for text in ("", "{", '[{"table": ["a"]}]', kept.save([INSERT]).replace("insert", "upsert")):
        with pytest.raises((Refused, SchemaChanged)):
            kept.load(text, [ITEMS, Table(Name("a", "b"), (), (), "")])


VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.just(MISSING))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=5))
def test_every_value_survives(rows: list[Row]) -> None:
    change = Rows(LOOSE, "update", rows, rows)
    (found,) = kept.load(kept.save([change]), [LOOSE])
    assert isinstance(found, Rows)
    for kind in (found.rows, found.keys):
        for old, new in zip(rows, kind, strict=True):
            assert all(same(a, b) for a, b in zip(old, new, strict=True))


def same(old: object, new: object) -> bool:
    if isinstance(old, float) and isinstance(new, float):
        return (math.isnan(old) and math.isnan(new)) or (old == new and math.copysign(1, old) == math.copysign(1, new))
    return type(old) is type(new) and old == new
