"""LSNs: byte offsets in PostgreSQL's write-ahead log, written `16/B374D848`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from replicator.errors import Refused


@dataclass(frozen=True, slots=True)
class Lsn:
    value: int

    def covers(self, other: Self, /) -> bool:
        return self.value >= other.value

    def __str__(self) -> str:
        return f"{self.value >> 32:X}/{self.value & 0xFFFFFFFF:X}"

    @classmethod
    def parse(cls, text: str) -> Lsn:
        high, slash, low = text.partition("/")
        try:
            value = (int(high, 16) << 32) | int(low, 16)
        except ValueError:
            value = -1
        if not slash or not 0 <= value < 1 << 64:
            raise Refused(f"{text!r} is not an LSN", remedy="restore the bookkeeping tables from a backup")
        return Lsn(value)
