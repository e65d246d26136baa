"""PostgreSQL's text of arrays and of hstore, as JSON.

Grammar: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO and
https://www.postgresql.org/docs/current/hstore.html#HSTORE-EXTERNAL-REP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from replicator.model.datatypes import Array, Boolean, DataType, Decimal, Float, Integer, Json

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"=>(?:"((?:[^"\\]|\\.)*)"|NULL)(?:, |$)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def array_to_json(text: str, kind: Array, element_text: Callable[[DataType, str], str]) -> str:
    """A PostgreSQL array as JSON text without spaces.

    Numbers keep their digits, booleans become true and false, JSON stays as it is, NULL is null; everything else,
    and NaN and the infinities, are strings: what `element_text` makes of the element's canonical text.

    Raises ValueError for an array whose lower bounds are not 1, which JSON cannot say.
    """
    if text.startswith("["):
        raise ValueError('an array whose lower bounds are not 1 has no JSON form (policy as = "text")')
    out: list[str] = []
    at, end = 0, len(text)
    special = f'{{}}"{kind.delimiter}'
    while at < end:
        char = text[at]
        if char == "{":
            out.append("[")
            at += 1
        elif char == "}":
            out.append("]")
            at += 1
        elif char == kind.delimiter:
            out.append(",")
            at += 1
        elif char == '"':
            close = at + 1
            while text[close] != '"':
                close += 2 if text[close] == "\\" else 1
            out.append(_element(kind.element, _ESCAPED.sub(r"\1", text[at + 1 : close]), element_text))
            at = close + 1
        else:
            close = at
            while text[close] not in special:
                close += 2 if text[close] == "\\" else 1
            word = text[at:close]
            out.append("null" if word == "NULL" else _element(kind.element, word, element_text))
            at = close
    return "".join(out)


def _element(kind: DataType, text: str, element_text: Callable[[DataType, str], str]) -> str:
    match kind:
        case Integer() | Decimal() | Float() if _NUMBER.fullmatch(text):
            return text
        case Boolean():
            return "true" if text == "t" else "false"
        case Json():
            return text
        case _:
            return json.dumps(element_text(kind, text), ensure_ascii=False)


def _string(escaped: str) -> str:
    return json.dumps(_ESCAPED.sub(r"\1", escaped), ensure_ascii=False)


def mapping_to_json(text: str) -> str:
    """An hstore value as a JSON object without spaces, in hstore's own order."""
    pairs: list[str] = []
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            raise ValueError("not an hstore value")
        key, value = match.group(1), match.group(2)
        pairs.append(f"{_string(key)}:{'null' if value is None else _string(value)}")
        at = match.end()
    return "{" + ",".join(pairs) + "}"
