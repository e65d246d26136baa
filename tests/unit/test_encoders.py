"""A quick look at many values says yes only where every one of them stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.engines.mysql import encoders as mysql
from replicator.engines.postgres import encoders as postgres
from replicator.model.values import Value
from replicator.sql import encoders as shared
from replicator.sql.encoders import Encoder

EVERY: dict[str, object] = {
    **{f"whole {n}": shared.whole(-(2**n), 2**n - 1) for n in (7, 31, 63)},
    **{f"number {p},{s}": shared.number(p, s) for p, s in ((12, 2), (2, 2), (5, 0), (65, 30), (1, 1))},
    "floating": shared.floating,
    "uuid": shared.uuid,
    "postgres text": postgres.text(None, None),
    "postgres varchar": postgres.text(5, None),
    "postgres stripped": postgres.text(5, "strip"),
    "postgres checked": postgres.checked_text,
    "postgres date": postgres.date(None),
    "postgres date or null": postgres.date("null"),
    **{f"postgres timestamp {z} {p}": postgres.timestamp(z, p, None) for z in (True, False) for p in (None, 0, 3)},
    "mysql text": mysql.text(None),
    "mysql varchar": mysql.text(5),
    "mysql shortened": mysql.shortened(mysql.text(9), 5),
    "mysql date": mysql.date(own=False),
    "mysql own date": mysql.date(own=True),
    **{f"mysql timestamp {p}": mysql.timestamp(False, p, own=False) for p in (None, 0, 6)},
}
DIGITS = st.from_regex(r"-?[0-9]{1,7}(\.[0-9]{0,7})?(e[0-9])?", fullmatch=True)
DAYS = st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 2200), st.integers(0, 13), st.integers(0, 32))
TIMES = st.from_regex(r"[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,7})?(\+00)?", fullmatch=True)
TEXTS = st.text(alphabet="ab\0\n01-.:+ ", max_size=8)
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.integers(-(2**64), 2**64),
    st.integers(-200, 200),
    st.booleans(),
    st.floats(),
    st.binary(max_size=3),
    TEXTS,
    DIGITS,
    DAYS,
    st.builds("{} {}".format, DAYS, TIMES),
    st.uuids().map(str),
    st.sampled_from(("infinity", "NaN", "2024-02-29", "2023-02-29", "0", "-0", "00", "0.10")),
)


def fitting(encode: Callable[[Value], Value]) -> Callable[[Value], bool]:
    def fits(value: Value) -> bool:
        try:
            found = encode(value)
        except ValueError:
            return False
        return found.__class__ is value.__class__ and (found == value or found != found)

    return fits


@pytest.mark.parametrize("name", EVERY)
def test_plain_values_are_kept_as_they_are(name: str) -> None:
    encoder = EVERY[name]
    assert isinstance(encoder, Encoder)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(VALUES, min_size=1, max_size=4))
    def holds(column: list[Value]) -> None:
        if encoder.plain(column):
            assert all(map(fitting(encoder.one), column))

    holds()


USUAL: dict[str, list[Value]] = {
    "whole 31": [0, 1, -5, 2**31 - 1],
    "number 12,2": ["0.00", "-1234567890.12", "5"],
    "floating": [0.5, float("inf")],
    "uuid": ["123e4567-e89b-12d3-a456-426655440000"],
    "postgres text": ["", "a\nb"],
    "postgres varchar": ["abcde"],
    "postgres checked": ['{"a": 1}'],
    "postgres date": ["2024-01-31", "1999-12-01"],
    "postgres timestamp True None": ["2024-01-31 23:59:59.123456+00", "2024-06-30 00:00:00+00"],
    "postgres timestamp False 3": ["2024-01-31 23:59:59.123"],
    "mysql shortened": ["abcde", ""],
    "mysql date": ["2024-01-31"],
    "mysql timestamp 6": ["2024-01-31 23:59:59.123456"],
}


@pytest.mark.parametrize("name", USUAL)
def test_usual_values_are_seen_to_be_plain(name: str) -> None:
    """Otherwise nothing would be gained."""
    encoder = EVERY[name]
    assert isinstance(encoder, Encoder) and encoder.plain(USUAL[name])
