"""TABLE_MAP events as MySQL 9.7 and MariaDB 10.11 wrote them, and as no server writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql import forms
from replicator.engines.mysql.tablemap import FULL, Code, WireColumn, heading, table_map
from replicator.errors import NotUnderstood
from replicator.model.datatypes import Timestamp
from replicator.model.schema import Column

# CREATE TABLE dev.t (id int PRIMARY KEY, v varchar(20), e enum('a','ä') CHARACTER SET latin1, s set('x','y'),
#                     g geometry, vv vector(3));  on MariaDB g point, vv inet4
MYSQL = bytes.fromhex(
    "7100000000000100036465760001740006030ffefefff2085000f701f80104043e0101000304fcff003f0701000d0103"
    "040e02696401760165017301670276760b0408fcff0005050201780179060502016101e40801000c01fc"
)
MARIADB = bytes.fromhex(
    "1700000000000100036465760001740006030ffefefffe095000f701f80104fe043e01010002033f002d070101"
    "040e02696401760165017301670276760b02082d05050201780179060502016101e4080100"
)
HEAD = bytes.fromhex("7100000000000100036465760001740001030001")
"""One column, an int that may be NULL; the optional metadata follow."""


def test_a_table_of_mysql() -> None:
    found = table_map(MYSQL, mariadb=False)
    assert (found.id, found.schema, found.name, found.key) == (0x71, "dev", "t", ("id",))
    assert found.columns == (
        WireColumn("id", Code.LONG, 0, False),
        WireColumn("v", Code.VARCHAR, 80, True, collation=255),
        WireColumn("e", Code.ENUM, 1, True, collation=8, labels=("a", "ä")),
        WireColumn("s", Code.SET, 1, True, collation=255, labels=("x", "y")),
        WireColumn("g", Code.GEOMETRY, 4, True, geometry=0),
        WireColumn("vv", Code.VECTOR, 4, True, collation=63, dimensions=3),
    )
    assert heading(MYSQL) == (0x71, "dev", "t")


def test_a_table_of_mariadb() -> None:
    columns = table_map(MARIADB, mariadb=True).columns
    assert columns[1:4] == (
        WireColumn("v", Code.VARCHAR, 80, True, collation=45),
        WireColumn("e", Code.ENUM, 1, True, collation=8, labels=("a", "ä")),
        WireColumn("s", Code.SET, 1, True, collation=45, labels=("x", "y")),
    )
    assert columns[4:] == (
        WireColumn("g", Code.GEOMETRY, 4, True, collation=63, geometry=1),
        WireColumn("vv", Code.STRING, 4, True, collation=63),
    )


@pytest.mark.parametrize("fields", ["", "010100", "04020161", "0101000400"])
def test_metadata_that_are_not_full_have_a_remedy(fields: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        table_map(HEAD + bytes.fromhex(fields), mariadb=False)
    assert caught.value.remedy == FULL


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("010100040201617f0100", "field 127"),
        ("010100040201610100", "twice"),
        ("01010004020161080105", "key"),
        ("0101000402016108", "ends too early"),
        ("010100040201ff", "not UTF-8"),
        ("01010004fe00000000000000f0", "ends too early"),
        ("01010004ff", "no known form"),
    ],
)
def test_what_is_not_understood(fields: str, said: str) -> None:
    with pytest.raises(NotUnderstood, match=said):
        table_map(HEAD + bytes.fromhex(fields), mariadb=False)


@pytest.mark.parametrize("kind", [0, 6, 14, 20, 130, 243, 244, 247, 248, 249, 250, 251, 253])
def test_types_that_no_log_has(kind: int) -> None:
    with pytest.raises(NotUnderstood):
        table_map(HEAD.replace(b"\x01\x03\x00\x01", bytes((1, kind, 0, 1))), mariadb=False)


def mutated(original: bytes) -> st.SearchStrategy[bytes]:
    edits = st.lists(st.tuples(st.integers(0, len(original) - 1), st.integers(0, 255)), min_size=1, max_size=4)

    def edited(changes: list[tuple[int, int]], cut: int) -> bytes:
        data = bytearray(original)
        for at, value in changes:
            data[at] = value
        return bytes(data[: len(data) - cut])

    return st.builds(edited, edits, st.sampled_from([0, 0, 0, 1, 7]))


@given(st.one_of(st.binary(max_size=200), mutated(MYSQL), mutated(MARIADB)), st.booleans())
def test_no_bytes_raise_anything_else(body: bytes, mariadb: bool) -> None:
    for read in (heading, lambda data: table_map(data, mariadb=mariadb)):
        try:
            read(body)
        except NotUnderstood:
            pass


def column(native: str) -> Column:
    return Column("c", Timestamp(), True, native, native)


@pytest.mark.parametrize(
    ("native", "wire"),
    [
        ("int(5) unsigned zerofill|", WireColumn("c", Code.LONG, 0, True, unsigned=True)),
        ("varchar(20)|utf8mb4", WireColumn("c", Code.VARCHAR, 80, True, collation=255)),
        ("varchar(20)|utf8", WireColumn("c", Code.VARCHAR, 60, True, collation=33)),
        ("enum('a','it''s','b,c')|latin1", WireColumn("c", Code.ENUM, 1, True, False, 8, ("a", "it's", "b,c"))),
        ("datetime(3) /* mariadb-5.3 */|", WireColumn("c", Code.DATETIME, 0, True)),
        ("vector(3)|", WireColumn("c", Code.VARCHAR, 12, True, collation=63)),
        ("mediumtext|utf8mb4", WireColumn("c", Code.BLOB, 3, True, collation=45)),
    ],
)
def test_forms_that_fit(native: str, wire: WireColumn) -> None:
    assert forms.fits(wire, column(native))


@pytest.mark.parametrize(
    ("native", "wire"),
    [
        ("int|", WireColumn("c", Code.LONG, 0, True, unsigned=True)),
        ("int|", WireColumn("c", Code.LONGLONG, 0, True)),
        ("varchar(20)|utf8mb4", WireColumn("c", Code.VARCHAR, 84, True, collation=255)),
        ("varchar(80)|latin1", WireColumn("c", Code.VARCHAR, 80, True, collation=9)),
        ("enum('a','b')|latin1", WireColumn("c", Code.ENUM, 1, True, False, 8, ("a", "B"))),
        ("datetime(3)|", WireColumn("c", Code.DATETIME2, 2, True)),
        ("decimal(5,2)|", WireColumn("c", Code.NEWDECIMAL, 5 * 256 + 3, True)),
        ("blob|", WireColumn("c", Code.BLOB, 2, True, collation=8)),
        ("point|", WireColumn("c", Code.GEOMETRY, 4, True, geometry=2)),
    ],
)
def test_forms_that_do_not_fit(native: str, wire: WireColumn) -> None:
    assert not forms.fits(wire, column(native))


@pytest.mark.parametrize("native", ["varchar(9) /*M!100301 COMPRESSED*/|latin1", "xmltype|", "", "enum(a)|latin1"])
def test_types_that_are_not_known(native: str) -> None:
    with pytest.raises(NotUnderstood):
        forms.wire_form(native)
