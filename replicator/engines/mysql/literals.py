"""Values as they stand in a statement, under `NO_BACKSLASH_ESCAPES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _binary(value: bytes) -> str:
    return f"x'{value.hex()}'"


def _boolean(value: bool) -> str:
    return "1" if value else "0"


def _floating(value: float) -> str:
    """Always with an exponent: without one it would be a decimal."""
    text = repr(value)
    return text if "e" in text else f"{text}e0"


_WRITE: dict[type, Callable[[Any], str]] = {
    str: _text,
    int: str,
    bytes: _binary,
    float: _floating,
    bool: _boolean,
    type(None): lambda value: "NULL",
}


def literal(value: Any) -> str:
    return _WRITE[value.__class__](value)


def literals(row: Sequence[Any]) -> str:
    return ", ".join([_WRITE[value.__class__](value) for value in row])
