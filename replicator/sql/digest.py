"""The digest of a row, by which a row of a table without a key is found through an index.

It narrows the search and decides nothing: a row must also be equal in every column. So it may be computed from what
the driver is given, which is the same for equal rows of one target.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

COLUMN = "_replicator_digest"
SIZE = 16


def of_row(values: Sequence[Any]) -> bytes:
    """16 bytes, the same in every version of this program: they are stored. Raises TypeError for MISSING."""
    found = blake2b(digest_size=SIZE)
    for value in values:
        kind, data = _encoded(value)
        found.update(kind + struct.pack(">Q", len(data)) + data)
    return found.digest()


def _encoded(value: Any) -> tuple[bytes, bytes]:
    match value:
        case None:
            return b"n", b""
        case bool() | int():
            return b"i", str(int(value)).encode()
        case float():
            return b"f", struct.pack(">d", value + 0.0)
        case str():
            return b"s", value.encode()
        case bytes():
            return b"b", value
        case _:
            raise TypeError(f"no digest of a {type(value).__name__}")
