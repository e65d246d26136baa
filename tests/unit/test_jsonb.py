"""Binary JSON: documents that MySQL 9.7 wrote, and bytes that it never would."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.mysql import jsonb
from replicator.engines.mysql.rowimage import BROKEN

RECORDED = {
    "00010016000b000100020c007802000a00050100050200": '{"x": [1, 2]}',
    "": "null",
    "0401": "true",
    "0500ff": "-256",
    "0c03c3a922": '"é\\""',
}


@pytest.mark.parametrize("raw", RECORDED)
def test_documents(raw: str) -> None:
    assert jsonb.text(bytes.fromhex(raw)) == RECORDED[raw]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.1, "0.1"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (1e14, "100000000000000.0"),
        (1e15, "1e15"),
        (2654487574959952.5, "2654487574959952.5"),
        (1234567890123456.0, "1.234567890123456e15"),
        (1.5e300, "1.5e300"),
        (1e-15, "0.000000000000001"),
        (1e-16, "1e-16"),
        (-1.25e-20, "-1.25e-20"),
        (5e-324, "5e-324"),
    ],
)
def test_doubles_as_the_server_writes_them(value: float, shown: str) -> None:
    assert jsonb.text(b"\x0b" + struct.pack("<d", value)) == shown


def nested(depth: int) -> bytes:
    raw = struct.pack("<HH", 0, 4)
    for _ in range(depth - 1):
        raw = struct.pack("<HHBH", 1, len(raw) + 7, 2, 7) + raw
    return b"\x02" + raw


def test_depth() -> None:
    assert jsonb.text(nested(100)) == "[" * 100 + "]" * 100
    with pytest.raises(ValueError, match="too deep"):
        jsonb.text(nested(101))


def test_parts_that_share_their_bytes_do_not_unfold() -> None:
    """Sixty arrays, each of which has the next one twice: as text 2 to the power of 60 elements."""
    levels, step = 60, 10
    raw = b""
    for level in range(levels):
        size = (levels - level) * step
        raw += struct.pack("<HHBHBH", 2, size, 2, step, 2, step) if level < levels - 1 else struct.pack("<HH", 0, 4)
    with pytest.raises(ValueError, match="place"):
        jsonb.text(b"\x02" + raw)


@pytest.mark.parametrize(
    "raw",
    [
        "02",  # no head
        "0201000300",  # its size is below its head's
        "020100ff7f050100",  # its size is beyond the document
        "02010007000c0000",  # a string in the head
        "0201000700040900",  # no literal
        "0c80808080808000",  # a length without end
        "0d00",  # no kind
        "0ff604ff0080000000",  # a decimal of precision 255
        "0c01ff",  # no UTF-8
        "00010012000b00ff7f0501006161",  # a name beyond the document
    ],
)
def test_broken_documents(raw: str) -> None:
    with pytest.raises(BROKEN):
        jsonb.text(bytes.fromhex(raw))


DOCUMENT = bytes.fromhex("00010016000b000100020c007802000a00050100050200")


@given(
    st.one_of(
        st.binary(max_size=120),
        st.builds(
            lambda at, value: DOCUMENT[:at] + bytes((value,)) + DOCUMENT[at + 1 :],
            st.integers(0, len(DOCUMENT) - 1),
            st.integers(0, 255),
        ),
    )
)
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    try:
        assert len(jsonb.text(raw)) < 100 * (len(raw) + 1)
    except BROKEN:
        pass
