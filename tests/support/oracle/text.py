"""The canonical line: fields separated by tabs, NULL as \\N, escapes as PostgreSQL's COPY writes them."""

from __future__ import annotations

import struct

NULL = "\\N"
ESCAPES = str.maketrans({"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"})


def escape(text: str) -> str:
    """One value as a field: no raw tab or newline is left, and no value looks like NULL."""
    return text.translate(ESCAPES)


def float_text(eight_bytes: str) -> str:
    """A float from the hex form of its eight bytes: two floats get one text only if they are one value.

    The sign of zero is the exception: SQLite does not keep it.
    """
    (value,) = struct.unpack(">d", bytes.fromhex(eight_bytes))
    return repr(value + 0.0)


def in_order(lines: list[list[str]], positions: list[int]) -> list[str]:
    """Lines in an order that depends on no collation: by these fields, then by the whole line."""
    lines.sort(key=lambda fields: ([fields[position] for position in positions], fields))
    return ["\t".join(fields) for fields in lines]
