"""COPY's text format, against its description; and arrays and hstore as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.engines.postgres import copytext
from replicator.model.datatypes import Array, Boolean, DataType, Integer, Json, Text
from replicator.model.nested import array_to_json, mapping_to_json

FIELD = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\"}


@given(st.lists(FIELD, min_size=1, max_size=10))
def test_fields(values: list[str | None]) -> None:
    line = "\t".join("\\N" if v is None else "".join(ESCAPES.get(c, c) for c in v) for v in values)
    assert copytext.fields(line) == values


def test_the_text_backslash_n_is_not_null() -> None:
    assert copytext.fields("\\\\N\t\\N") == ["\\N", None]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def plain(kind: DataType, text: str) -> str:
    return text


NESTED = st.recursive(
    st.lists(
        st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))), min_size=1
    ),
    lambda inner: st.lists(inner, min_size=1, max_size=3),
    max_leaves=20,
)


def written(value: object) -> str:
    """As PostgreSQL's array_out would, with every element quoted."""
    if isinstance(value, list):
        return "{" + ",".join(map(written, value)) + "}"
    return "NULL" if value is None else quoted(str(value))


@given(NESTED)
def test_arrays_of_text(value: list[object]) -> None:
    assert json.loads(array_to_json(written(value), Array(Text()), plain)) == value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Array(Integer(32)), "{1,-2,NULL}", "[1,-2,null]"),
        (Array(Integer(32)), "{}", "[]"),
        (Array(Integer(32)), "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        (Array(Boolean()), "{t,f,NULL}", "[true,false,null]"),
        (Array(Text()), '{a b,"NULL",NULL,"",\'}', '["a b","NULL",null,"","\'"]'),
        (Array(Text(), ";"), "{(1,2);(3,4)}", '["(1,2)","(3,4)"]'),
        (Array(Json()), '{"{\\"a\\": [1, \\"x\\"]}"}', '[{"a": [1, "x"]}]'),
        (Array(Integer(32)), "{NaN}", '["NaN"]'),
    ],
)
def test_arrays(kind: Array, text: str, expected: str) -> None:
    assert array_to_json(text, kind, plain) == expected


def test_an_array_with_other_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match="lower bounds"):
        array_to_json("[0:1]={1,2}", Array(Integer(32)), plain)


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text())))
def test_hstore(value: dict[str, str | None]) -> None:
    text = ", ".join(f"{quoted(k)}=>{'NULL' if v is None else quoted(v)}" for k, v in value.items())
    assert json.loads(mapping_to_json(text)) == value
