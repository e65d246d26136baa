"""Sets of GTIDs: against Python's own sets, and through their texts."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql.gtid import DomainGtid, DomainSet, Gtid, GtidSet
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.errors import Refused

UUIDS = ("3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-000000000001")
SOURCES = (*UUIDS, f"{UUIDS[0]}:tag", f"{UUIDS[1]}:_t2")
GTIDS = st.builds(Gtid, st.sampled_from(SOURCES), st.integers(1, 12))
SETS = st.sets(GTIDS)
FILE = LogFile("binlog.000007", 1700000000)


def made(gtids: set[Gtid]) -> GtidSet:
    found = GtidSet({})
    for gtid in gtids:
        found = found.plus(gtid)
    return found


@given(SETS, SETS)
def test_sets_are_sets(one: set[Gtid], other: set[Gtid]) -> None:
    assert made(one).covers(made(other)) == (one >= other)
    assert made(one).union(made(other)) == made(one | other)
    assert all(made(one).contains(gtid) == (gtid in one) for gtid in other)
    assert (made(one) == made(other)) == (one == other)


@given(SETS)
def test_a_set_survives_its_text(gtids: set[Gtid]) -> None:
    assert GtidSet.parse(str(made(gtids))) == made(gtids)
    assert GtidSet.parse(str(made(gtids)).upper().replace(",", " ,\n ")) == made(gtids)


@given(SETS)
def test_the_binary_form_says_the_same(gtids: set[Gtid]) -> None:
    assert decoded(made(gtids).encoded()) == made(gtids)


def decoded(data: bytes) -> GtidSet:
    """By the layout in sql/rpl_gtid_set.cc: the count, and with tags in it twice the format's number around it."""
    tagged = data[7] == 1
    count = int.from_bytes(data[1:7] if tagged else data[:8], "little")
    assert not tagged or data[0] == 1
    at, found = 8, GtidSet({})
    for _ in range(count):
        raw = data[at : at + 16].hex()
        source = f"{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}"
        at += 16
        if tagged:
            length = data[at] >> 1
            tag = data[at + 1 : at + 1 + length].decode()
            source += f":{tag}" if tag else ""
            at += 1 + length
        (intervals,) = struct.unpack_from("<Q", data, at)
        at += 8
        for _ in range(intervals):
            first, after = struct.unpack_from("<QQ", data, at)
            at += 16
            for number in range(first, after):
                found = found.plus(Gtid(source, number))
    assert at == len(data)
    return found


def test_what_a_server_prints_is_read() -> None:
    text = f"{UUIDS[0]}:1-3:5:tag:7-9:other:1,\n{UUIDS[1]}:2"
    found = GtidSet.parse(text)
    assert found.contains(Gtid(UUIDS[0], 5)) and not found.contains(Gtid(UUIDS[0], 4))
    assert found.contains(Gtid(f"{UUIDS[0]}:tag", 8)) and found.contains(Gtid(f"{UUIDS[0]}:other", 1))
    assert not found.contains(Gtid(UUIDS[0], 7))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        UUIDS[0],
        f"{UUIDS[0]}:",
        f"{UUIDS[0]}:0",
        f"{UUIDS[0]}:3-1",
        f"{UUIDS[0]}:1-",
        f"{UUIDS[0]}:-1",
        "0-1-2",
        "§",
    ],
)
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        GtidSet.parse(text)


@pytest.mark.parametrize("text", ["1-2", "1-2-x", "0-1-2,0-1-3", "0-1-2-3", UUIDS[0]])
def test_what_is_no_set_of_domains_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        DomainSet.parse(text)


def test_domains_are_covered_each_by_its_last() -> None:
    one = DomainSet.parse("0-1-100,7-2-5")
    assert one.covers(DomainSet.parse("0-9-99")) and not one.covers(DomainSet.parse("0-1-101"))
    assert not one.covers(DomainSet.parse("8-1-1")) and one.covers(DomainSet({}))
    assert one.contains(DomainGtid(7, 2, 5)) and not one.contains(DomainGtid(7, 2, 6))
    assert not one.contains(DomainGtid(7, 1, 5))  # two servers wrote the same number: their histories are apart
    assert one.joined(DomainSet.parse("0-3-99,7-1-6,8-1-1")) == DomainSet.parse("0-1-100,7-1-6,8-1-1")
    assert str(one.plus(DomainGtid(7, 3, 6))) == "0-1-100,7-3-6"


POSITIONS = [
    BinlogPosition(GtidSet({}), LogFile()),
    BinlogPosition(DomainSet({}), FILE),
    BinlogPosition(DomainSet.parse("0-1-100,7-2-5"), FILE),
    BinlogPosition(made({Gtid(SOURCES[2], 4), Gtid(UUIDS[1], 2)}), FILE),
    BinlogPosition(4711, LogFile("a:strange@name.000002", 1)),
]


@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_a_position_survives_its_text(position: BinlogPosition) -> None:
    assert BinlogPosition.parse(str(position)) == position
    assert position.covers(position)


@pytest.mark.parametrize("text", ["", "x", "0-1-2", "0-1-2@file", "12@file:", "12@file:x", "zzz@f.1:1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        BinlogPosition.parse(text)


def test_a_file_position_covers_what_began_before_it() -> None:
    place = BinlogPosition(500, LogFile("binlog.000010"))
    assert place.has(None, LogFile("binlog.000009"), 99999) and place.has(None, LogFile("binlog.000010"), 499)
    assert not place.has(None, LogFile("binlog.000010"), 500) and not place.has(None, LogFile("binlog.000011"), 4)
    assert place.covers(BinlogPosition(9999, LogFile("binlog.000009")))
    with pytest.raises(Refused):
        place.covers(POSITIONS[2])


@given(SETS, SETS)
def test_what_another_set_lacks(one: set[Gtid], other: set[Gtid]) -> None:
    assert made(one).minus(made(other)) == made(one - other)


def test_what_another_set_of_domains_lacks() -> None:
    one = DomainSet.parse("0-1-100,7-2-5,9-1-1")
    assert str(one.minus(DomainSet.parse("0-1-99,7-2-6"))) == "0-1-100,9-1-1"
    assert str(one.minus(one)) == ""
