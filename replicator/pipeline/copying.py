"""Copies tables from a snapshot: in chunks, each with its mark, then the unique indexes.

Tables of one chunk share a transaction, up to a limit: of thousands of small tables each would otherwise wait for the
disk several times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain

from replicator.engine import Snapshot, Target
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Truncate
from replicator.model.position import Position
from replicator.model.stream import Followed
from replicator.pipeline.ahead import ahead
from replicator.pipeline.progress import Report
from replicator.pipeline.pulse import Pulse
from replicator.pipeline.stop import Stop

CHUNK = Limits(rows=10_000, bytes=4 << 20)
GROUP_TABLES, GROUP_BYTES = 200, 4 << 20


@dataclass
class _Begun:
    """A table whose first chunk is read. `rest`: the other chunks."""

    followed: Followed
    first: Batch
    rest: Iterator[Batch]
    estimated_rows: int

    @property
    def whole(self) -> bool:
        return isinstance(self.first.mark, CopyMark) and self.first.mark.done


def copy(
    snapshot: Snapshot, target: Target, tables: Iterable[Followed], report: Report, stop: Stop, pulse: Pulse
) -> list[Followed]:
    """Copy each table whole; returns those that are complete, fewer than asked for if a stop was."""
    done: list[Followed] = []
    for group in _groups(_begin(snapshot, target, followed) for followed in tables):
        if stop.requested:
            return done
        if group[0].whole:
            done += _copy_whole(target, group, report, snapshot.settles())
        elif _copy_large(target, group[0], report, stop, pulse):
            done += _copied(target, [replace(group[0].followed, phase="copied")], snapshot.settles())
            report.copy_done(group[0].followed.table.name)
        else:
            return done
        if pulse.due:
            pulse.say(target.ledger)
    return done


def _begin(snapshot: Snapshot, target: Target, followed: Followed) -> _Begun:
    """Read the first chunk. A table that may be emptied is emptied in the transaction that writes it."""
    floor = None if snapshot.position is None else str(snapshot.position)
    copying = replace(followed, phase="copying", floor=floor, as_of=snapshot.as_of)
    chunks = snapshot.chunks(followed.table, 0, None, CHUNK, target.structure.formats(followed))
    first = next(chunks)
    if followed.may_empty:
        first = replace(first, changes=(Truncate((followed.table,)), *first.changes))
    return _Begun(copying, first, chunks, snapshot.estimated_rows(followed.table))


def _groups(tables: Iterable[_Begun]) -> Iterator[list[_Begun]]:
    """Tables of one chunk together, in order; every other alone."""
    group: list[_Begun] = []
    size = 0
    for begun in tables:
        if group and (not begun.whole or len(group) == GROUP_TABLES or size + begun.first.size > GROUP_BYTES):
            yield group
            group, size = [], 0
        if begun.whole:
            group.append(begun)
            size += begun.first.size
        else:
            yield [begun]
    if group:
        yield group


def _copy_whole(target: Target, group: Sequence[_Begun], report: Report, settles: Position | None) -> list[Followed]:
    followed = [begun.followed for begun in group]
    ready = [replace(each, phase="live") for each in followed if settles is None and not _unfinished(each)]
    target.applier.prepare(followed)
    with target.applier.together():
        target.ledger.begin_copy(*followed)
        for begun in group:
            target.applier.apply(begun.first)
        target.ledger.record(ready)
    finished = {each.table.name for each in ready}
    rest = [replace(each, phase="copied") for each in followed if each.table.name not in finished]
    done = ready + _copied(target, rest, settles)
    for begun in group:
        name = begun.followed.table.name
        report.copy_started(name, begun.estimated_rows)
        report.copied(name, begun.first.rows, begun.first.size)
        report.copy_done(name)
    return done


def _unfinished(followed: Followed) -> bool:
    """Has `finish` something to make?"""
    return followed.made and (bool(followed.table.uniques) or followed.digested)


def _copy_large(target: Target, begun: _Begun, report: Report, stop: Stop, pulse: Pulse) -> bool:
    followed, table = begun.followed, begun.followed.table
    target.ledger.begin_copy(followed)
    report.copy_started(table.name, begun.estimated_rows)
    target.applier.prepare([followed])
    with closing(ahead(begun.rest)) as rest:
        for chunk in chain([begun.first], rest):
            assert isinstance(chunk.mark, CopyMark)
            if stop.requested:
                target.applier.rollback()
                return False
            if not followed.may_empty:
                # Rows of somebody else are in the table (--append): it can never be emptied and begun again, so the
                # whole copy is one transaction.
                chunk = replace(chunk, complete=chunk.mark.done)
            target.applier.apply(chunk)
            report.copied(table.name, chunk.rows, chunk.size)
            if chunk.complete and pulse.due:
                pulse.say(target.ledger)
    return True


def _copied(target: Target, tables: list[Followed], settles: Position | None) -> list[Followed]:
    """The tables are whole. Where the copy overlaps the log, what `finish` makes has to wait until the log is past it:
    until then a row may stand beside another one that has its unique value."""
    if settles is None:
        return finish(target, tables)
    waiting = [replace(followed, settles=str(settles)) for followed in tables]
    target.ledger.record(waiting)
    return waiting


def finish(target: Target, tables: Iterable[Followed]) -> list[Followed]:
    """What is made after the copy; the tables are then `live`."""
    live = [replace(followed, phase="live") for followed in tables]
    if not live:
        return live
    target.structure.finish(live)
    target.ledger.record(live)
    return live
