"""Types of MySQL and MariaDB at such a target, written anew from their parts."""

from __future__ import annotations

import pytest

from replicator.engines.mysql import ownforms
from replicator.engines.mysql.flavor import MARIADB, MYSQL
from replicator.engines.mysql.storage import Dialect
from replicator.engines.mysql.types import canonical, native
from replicator.model.schema import Column

THERE = (Dialect(MYSQL, (9, 7)), Dialect(MARIADB, (10, 11)))
COLLATIONS = frozenset(("utf8mb4_general_ci", "latin1_swedish_ci"))


def column(kind: str, charset: str = "", collation: str = "") -> Column:
    found = canonical(kind)
    assert found is not None
    return Column("c", found, True, native(kind, charset), kind, collation=collation)


def written(each: Column) -> list[str | None]:
    own = ownforms.own(each)
    assert own is not None
    forms = [ownforms.form(each, own, there, COLLATIONS) for there in THERE]
    return [None if form is None else form.type for form in forms]


SAME = {
    "int unsigned": "int unsigned",
    "int(6) unsigned zerofill": "int unsigned",
    "tinyint(1)": "tinyint(1)",
    "decimal(10,2)": "decimal(10,2)",
    "datetime(6)": "datetime(6)",
    "timestamp": "timestamp NULL",
    "binary(16)": "binary(16)",
    "bit(9)": "bit(9)",
    "year": "year",
    "double": "double",
    "enum('a','it''s')": "enum('a', 'it''s')",
    "point": "point",
    "json": "json",
}


@pytest.mark.parametrize("kind", SAME)
def test_both_have_it(kind: str) -> None:
    assert written(column(kind)) == [SAME[kind]] * 2


def test_what_one_of_them_lacks_takes_another_form() -> None:
    assert written(column("inet6")) == [None, "inet6"]
    assert written(column("uuid")) == [None, "uuid"]
    assert written(column("vector(3)")) == ["vector(3)", None]
    assert written(column("geomcollection")) == ["geomcollection", "geometrycollection"]


def test_a_collation_is_kept_where_it_is_known() -> None:
    known = column("varchar(9)", "utf8mb4", "utf8mb4_general_ci")
    assert written(known) == ["varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"] * 2
    exact = [f"text CHARACTER SET utf8mb4 COLLATE {flavor.exact_collation}" for flavor in (MYSQL, MARIADB)]
    assert written(column("text", "utf8mb4", "uca1400_ai_ci")) == exact
    assert written(column("text", "latin1", "unknown")) == ["text CHARACTER SET latin1 COLLATE latin1_bin"] * 2


@pytest.mark.parametrize(
    ("kind", "charset", "expected"),
    [
        ("varchar(2000)", "utf8mb4", 8000),
        ("varchar(2000)", "latin1", 2000),
        ("varbinary(3000)", "", 3000),
        ("text", "utf8mb4", None),
        ("blob", "", None),
        ("json", "", None),
        ("bigint", "", 8),
    ],
)
def test_how_many_bytes_a_key_over_it_takes(kind: str, charset: str, expected: int | None) -> None:
    each = column(kind, charset)
    own = ownforms.own(each)
    assert own is not None
    form = ownforms.form(each, own, THERE[0], COLLATIONS)
    assert form is not None and form.key_bytes == expected


def test_types_of_other_engines_are_none_of_theirs() -> None:
    kind = canonical("int")
    assert kind is not None
    for native_type in ("23:-1", "sqlite:int", "sqlite:a|b", "int"):
        assert ownforms.own(Column("c", kind, True, native_type, "")) is None
