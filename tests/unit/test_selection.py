"""Which tables are followed, and where they land."""

from __future__ import annotations

import pytest

from replicator.engines.sqlite import ENGINE as SQLITE
from replicator.errors import Refused
from replicator.model.schema import Name
from replicator.model.selection import Places, Selection

NESTED = Places(default_schema="public", schemas=True, name_bytes=63)


@pytest.mark.parametrize(
    ("patterns", "exclude", "name", "included"),
    [
        ((), (), Name("public", "a"), True),
        ((), (), Name("other", "a"), False),
        (("orders",), (), Name("public", "orders"), True),
        (("orders",), (), Name("public", "orders2"), False),
        (("*.*",), (), Name("other", "a"), True),
        (("public.*",), ("public.audit_*",), Name("public", "audit_1"), False),
        (("public.*",), ("audit_*",), Name("public", "audit_1"), False),
        (("public.a.b",), (), Name("public", "a.b"), True),
        (("public.a+b",), (), Name("public", "aab"), False),
        (("public.a\nb",), (), Name("public", "a\nb"), True),
    ],
)
def test_patterns(patterns: tuple[str, ...], exclude: tuple[str, ...], name: Name, included: bool) -> None:
    assert Selection(patterns, exclude).includes(name, "public") is included


def test_landing_in_a_target_without_schemas() -> None:
    names = [Name("public", "a"), Name("other", "a"), Name("public", "b")]
    assert Selection(mapping={"public.b": "c"}).land(names, "public", SQLITE.places) == {
        names[0]: Name("main", "a"),
        names[1]: Name("main", "other__a"),
        names[2]: Name("main", "c"),
    }


def test_landing_in_a_target_with_schemas() -> None:
    names = [Name("public", "a"), Name("other", "a"), Name("public", "b")]
    assert Selection(mapping={"b": "z.c"}).land(names, "public", NESTED) == {
        names[0]: Name("public", "a"),
        names[1]: Name("other", "a"),
        names[2]: Name("z", "c"),
    }


@pytest.mark.parametrize(
    ("names", "mapping", "message"),
    [
        ([Name("public", "T"), Name("public", "t")], {}, "public.T and public.t would both land"),
        ([Name("public", "a"), Name("public", "b")], {"public.a": "b"}, "would both land"),
        ([Name("a", "b__c"), Name("a__b", "c")], {}, "would both land"),
        ([Name("public", "a")], {"public.x": "b"}, "not a followed table"),
        ([Name("public", "_replicator_streams")], {}, "kept for bookkeeping"),
        ([Name("public", "a")], {"public.a": "_REPLICATOR_x"}, "kept for bookkeeping"),
        ([Name("public", "a")], {"public.a": "sqlite_a"}, "kept for bookkeeping"),
    ],
)
def test_s065_refused_landings(names: list[Name], mapping: dict[str, str], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Selection(mapping=mapping).land(names, "public", SQLITE.places)


def test_a_name_that_the_target_would_cut_is_refused() -> None:
    with pytest.raises(Refused, match="63 bytes"):
        Selection().land([Name("public", "ä" * 32)], "public", NESTED)
    assert Selection().land([Name("public", "ä" * 31)], "public", NESTED)


def test_only_ascii_case_is_folded() -> None:
    names = [Name("public", "Ä"), Name("public", "ä")]
    assert len(Selection().land(names, "public", SQLITE.places)) == 2
