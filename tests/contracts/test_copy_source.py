"""What every engine promises as a source of copies, with or without a log."""

from __future__ import annotations

import json

import pytest

from replicator.errors import PositionLost, Refused, ReplicatorError
from replicator.model.selection import Selection
from tests.contracts.engines import CopySourceUnderTest
from tests.contracts.streams import read_view, table_of


def test_tables_that_can_be_read_are_not_refused(copied: CopySourceUnderTest) -> None:
    tables = copied.source.catalog.tables(Selection(), {}).tables
    assert [f for f in copied.source.copy_findings(tables) if f.level == "refuse"] == []
    assert [f for f in copied.source.copy_findings([]) if f.level == "refuse"] == []


def test_looking_touches_nothing(copied: CopySourceUnderTest) -> None:
    before = copied.inventory()
    copied.source.copy_findings(copied.source.catalog.tables(Selection(), {}).tables)
    copied.source.recognise(copied.source.identity())
    assert copied.inventory() == before


def test_a_view_makes_nothing_and_has_no_position(copied: CopySourceUnderTest) -> None:
    before = copied.inventory()
    view = copied.source.view()
    try:
        assert view.position is None
        assert len(read_view(view, table_of(copied))) == 3
        assert copied.inventory() == before
    finally:
        view.close()
    assert copied.inventory() == before


def test_views_are_apart(copied: CopySourceUnderTest) -> None:
    first = copied.source.view()
    copied.execute("INSERT INTO other VALUES (1)")
    second = copied.source.view()
    try:
        other = table_of(copied, "other")
        assert (read_view(first, other), read_view(second, other)) == ([], [(1,)])
        first.close()
        assert read_view(second, other) == [(1,)]
    finally:
        first.close()
        second.close()


def test_it_knows_itself_and_no_other(copied: CopySourceUnderTest) -> None:
    identity = copied.source.identity()
    assert json.loads(identity)["url"]
    assert copied.source.identity() == identity
    copied.source.recognise(identity)
    with pytest.raises((Refused, PositionLost)) as caught:
        copied.source.recognise(json.dumps(dict.fromkeys(json.loads(identity), "other")))
    assert caught.value.remedy


def test_a_closed_source_gives_nothing_more(copied: CopySourceUnderTest) -> None:
    copied.source.close()
    with pytest.raises(Exception, match=r"(?i)closed") as caught:
        copied.source.catalog.tables(Selection(), {})
    assert isinstance(caught.value, ReplicatorError) or "closed" in str(caught.value)
