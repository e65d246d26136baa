"""Sets of global transaction identifiers, of both flavors: text, the dump command's binary form, and their order.

MySQL (https://dev.mysql.com/doc/refman/9.7/en/replication-gtids-concepts.html): each server's UUID, and since 8.3 a tag
behind it, numbers its transactions; a set has intervals of numbers for each. MariaDB
(https://mariadb.com/kb/en/gtid/): domain-server-number, where the numbers of a domain rise in the log, so that the last
one of each domain stands for all before it.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from replicator.errors import Refused

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_DOMAIN_GTID = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")
LARGEST = (1 << 63) - 1
Interval = tuple[int, int]
"""First and last, both inside."""


class Gtid(NamedTuple):
    """One transaction of MySQL's. `source`: the UUID in lower case, and `:tag` behind it where there is one."""

    source: str
    number: int

    def __str__(self) -> str:
        return f"{self.source}:{self.number}"


class DomainGtid(NamedTuple):
    """One transaction of MariaDB's."""

    domain: int
    server: int
    number: int

    def __str__(self) -> str:
        return f"{self.domain}-{self.server}-{self.number}"


@dataclass(frozen=True, slots=True)
class GtidSet:
    """MySQL's. `intervals`: by source, sorted, apart from one another."""

    intervals: Mapping[str, tuple[Interval, ...]]

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """`uuid[:tag]:n[-m]...[:tag:n...][,...]`. Raises Refused."""
        found: dict[str, list[Interval]] = {}
        for member in text.split(","):
            words = member.strip().lower().split(":")
            if words == [""]:
                continue
            uuid, source = words[0].strip(), ""
            if not _UUID.fullmatch(uuid) or len(words) < 2:
                raise _unreadable(text)
            for word in (word.strip() for word in words[1:]):
                if _TAG.fullmatch(word):
                    source = f"{uuid}:{word}"
                else:
                    found.setdefault(source or uuid, []).append(_interval(word, text))
        return cls({source: _merged(intervals) for source, intervals in found.items()})

    def __str__(self) -> str:
        return ",".join(
            f"{source}:{':'.join(_shown(interval) for interval in self.intervals[source])}"
            for source in sorted(self.intervals)
        )

    def __hash__(self) -> int:
        return hash(str(self))

    def contains(self, gtid: Gtid) -> bool:
        intervals = self.intervals.get(gtid.source, ())
        at = bisect_right(intervals, (gtid.number, LARGEST)) - 1
        return at >= 0 and gtid.number <= intervals[at][1]

    def covers(self, other: Self, /) -> bool:
        return all(
            any(first <= low and high <= last for first, last in self.intervals.get(source, ()))
            for source, intervals in other.intervals.items()
            for low, high in intervals
        )

    def plus(self, gtid: Gtid) -> GtidSet:
        """The set with one more transaction; most often the next one of its source."""
        intervals = self.intervals.get(gtid.source, ())
        if intervals and intervals[-1][1] + 1 == gtid.number:
            grown = (*intervals[:-1], (intervals[-1][0], gtid.number))
        else:
            grown = _merged([*intervals, (gtid.number, gtid.number)])
        return GtidSet({**self.intervals, gtid.source: grown})

    def union(self, other: GtidSet) -> GtidSet:
        sources = {**self.intervals, **other.intervals}
        return GtidSet(
            {s: _merged([*self.intervals.get(s, ()), *other.intervals.get(s, ())]) for s in sources},
        )

    def minus(self, other: GtidSet) -> GtidSet:
        """What `other` lacks of it."""
        left = {s: _without(found, other.intervals.get(s, ())) for s, found in self.intervals.items()}
        return GtidSet({source: intervals for source, intervals in left.items() if intervals})

    def encoded(self) -> bytes:
        """For COM_BINLOG_DUMP_GTID. With tags in it the form is another (libs/mysql/gtid/gtidset.cpp, `Tsid` format):
        the count is then 56 bits between two bytes that say so."""
        tagged = any(":" in source for source in self.intervals)
        members = b"".join(
            self._member(source, intervals, tagged) for source, intervals in sorted(self.intervals.items())
        )
        count = len(self.intervals)
        head = bytes([1]) + count.to_bytes(6, "little") + bytes([1]) if tagged else struct.pack("<Q", count)
        return head + members

    @staticmethod
    def _member(source: str, intervals: tuple[Interval, ...], tagged: bool) -> bytes:
        uuid, _, tag = source.partition(":")
        named = bytes.fromhex(uuid.replace("-", ""))
        if tagged:
            named += bytes([len(tag) << 1]) + tag.encode()  # a length of one byte: serialized as a varlen integer
        pairs = b"".join(struct.pack("<QQ", first, last + 1) for first, last in intervals)
        return named + struct.pack("<Q", len(intervals)) + pairs


@dataclass(frozen=True, slots=True)
class DomainSet:
    """MariaDB's. `last`: the last transaction of each domain, by domain."""

    last: Mapping[int, DomainGtid]

    @classmethod
    def parse(cls, text: str) -> DomainSet:
        """`domain-server-number[,...]`. Raises Refused."""
        last: dict[int, DomainGtid] = {}
        for member in filter(None, (member.strip() for member in text.split(","))):
            match = _DOMAIN_GTID.fullmatch(member)
            if match is None:
                raise _unreadable(text)
            gtid = DomainGtid(*map(int, match.groups()))
            if gtid.domain in last:
                raise _unreadable(text)
            last[gtid.domain] = gtid
        return cls(last)

    def __str__(self) -> str:
        return ",".join(str(self.last[domain]) for domain in sorted(self.last))

    def __hash__(self) -> int:
        return hash(str(self))

    def contains(self, gtid: DomainGtid) -> bool:
        """The numbers of a domain rise, whichever server writes. Two servers that used one number have parted ways."""
        last = self.last.get(gtid.domain)
        return last is not None and (gtid.number < last.number or gtid == last)

    def covers(self, other: Self, /) -> bool:
        return all(self.contains(gtid) for gtid in other.last.values())

    def minus(self, other: DomainSet) -> DomainSet:
        """The last transaction of each domain in which `other` lacks it; how many come before it nobody knows."""
        return DomainSet({domain: gtid for domain, gtid in self.last.items() if not other.contains(gtid)})

    def joined(self, other: DomainSet) -> DomainSet:
        """The later one of each domain."""
        later = {**self.last}
        for domain, gtid in other.last.items():
            if domain not in later or later[domain].number < gtid.number:
                later[domain] = gtid
        return DomainSet(later)

    def plus(self, gtid: DomainGtid) -> DomainSet:
        return DomainSet({**self.last, gtid.domain: gtid})


def _interval(word: str, text: str) -> Interval:
    first, dash, last = word.partition("-")
    try:
        found = int(first), int(last if dash else first)
    except ValueError:
        raise _unreadable(text) from None
    if not 1 <= found[0] <= found[1] <= LARGEST:
        raise _unreadable(text)
    return found


def _merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for first, last in sorted(intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def _without(intervals: Iterable[Interval], others: Iterable[Interval]) -> tuple[Interval, ...]:
    left = list(intervals)
    for first, last in others:
        pieces = [((low, min(high, first - 1)), (max(low, last + 1), high)) for low, high in left]
        left = [piece for pair in pieces for piece in pair if piece[0] <= piece[1]]
    return tuple(sorted(set(left)))


def _shown(interval: Interval) -> str:
    first, last = interval
    return str(first) if first == last else f"{first}-{last}"


def _unreadable(text: str) -> Refused:
    return Refused(f"{text[:100]!r} is not a set of GTIDs", remedy="restore the bookkeeping tables from a backup")
