"""Positions in the binary log: what was executed, or a file and an offset; and which file that was.

`<executed>@<file>:<time>`, such as `0-1-100@binlog.000002:1700000000`; where the source has no GTIDs, the executed
part is `<offset>`. The time is that of the file's FORMAT_DESCRIPTION event: GTIDs and file names are used again after
a reset or a restore, and the time shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from replicator.engines.mysql.gtid import DomainGtid, DomainSet, Gtid, GtidSet
from replicator.errors import Refused

EMPTY_DOMAINS = "-"


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the log. `time`: seconds since 1970, 0 where it is not known yet."""

    name: str = ""
    time: int = 0

    @property
    def number(self) -> int:
        """Its place among the files: what stands behind the last dot."""
        digits = self.name.rpartition(".")[2]
        return int(digits) if digits.isdigit() else 0

    def __str__(self) -> str:
        return f"{self.name}:{self.time}"


@dataclass(frozen=True, slots=True)
class BinlogPosition:
    """`executed`: a set of GTIDs, or the offset in `file`."""

    executed: GtidSet | DomainSet | int
    file: LogFile

    def covers(self, other: Self, /) -> bool:
        mine, theirs = self.executed, other.executed
        match mine, theirs:
            case GtidSet(), GtidSet():
                return mine.covers(theirs)
            case DomainSet(), DomainSet():
                return mine.covers(theirs)
            case int(), int():
                return (self.file.number, mine) >= (other.file.number, theirs)
        raise Refused(
            "positions of two kinds cannot be compared: the source was changed between GTIDs and files",
            remedy="copy everything anew: replicator recopy SOURCE TARGET --all",
        )

    def lacks(self, other: Self, /) -> str:
        """The transactions of `other` that it does not have, as far as positions name them."""
        match other.executed, self.executed:
            case GtidSet() as theirs, GtidSet() as mine:
                return str(theirs.minus(mine))
            case DomainSet() as theirs, DomainSet() as mine:
                return str(theirs.minus(mine))
        return "some of them"

    def __str__(self) -> str:
        empty = EMPTY_DOMAINS if isinstance(self.executed, DomainSet) else ""
        return f"{str(self.executed) or empty}@{self.file}"

    @classmethod
    def parse(cls, text: str) -> BinlogPosition:
        """Raises Refused."""
        executed, at, file = text.partition("@")
        name, colon, time = file.rpartition(":")
        if not at or not colon or not time.isdigit():
            raise Refused(
                f"{text[:100]!r} is not a position in a binary log",
                remedy="restore the bookkeeping tables from a backup",
            )
        return cls(_executed(executed), LogFile(name, int(time)))

    def has(self, gtid: Gtid | DomainGtid | None, file: LogFile, start: int) -> bool:
        """Does it cover the transaction with this GTID, which begins at that place?"""
        match self.executed, gtid:
            case GtidSet() as executed, Gtid():
                return executed.contains(gtid)
            case DomainSet() as executed, DomainGtid():
                return executed.contains(gtid)
            case int() as offset, _:
                return (file.number, start) < (self.file.number, offset)
        return False

    def with_transaction(self, gtid: Gtid | DomainGtid | None, file: LogFile, end: int) -> BinlogPosition:
        """The position behind the next transaction."""
        match self.executed, gtid:
            case GtidSet() as executed, Gtid():
                return BinlogPosition(executed.plus(gtid), file)
            case DomainSet() as executed, DomainGtid():
                return BinlogPosition(executed.plus(gtid), file)
        return BinlogPosition(end, file)


def _executed(text: str) -> GtidSet | DomainSet | int:
    """The three forms cannot be taken for one another: behind a UUID there is a colon, a domain's has two dashes."""
    if text.isdigit():
        return int(text)
    if ":" in text or not text:
        return GtidSet.parse(text)
    return DomainSet.parse("" if text == EMPTY_DOMAINS else text)
