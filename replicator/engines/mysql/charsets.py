"""The character sets of MySQL and MariaDB: a collation's number to what decodes its text."""

from __future__ import annotations

from collections.abc import Callable

Decode = Callable[[bytes], str]


def decoder_of(collation: int) -> Decode:
    return bytes.decode
