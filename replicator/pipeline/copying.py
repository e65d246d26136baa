"""Copies tables from a snapshot: in chunks, each with its mark, then the unique indexes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from replicator.engine import Snapshot, Target
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Truncate
from replicator.model.stream import Followed
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop

CHUNK = Limits(rows=10_000, bytes=4 << 20)


def copy(snapshot: Snapshot, target: Target, tables: Iterable[Followed], report: Report, stop: Stop) -> list[Followed]:
    """Copy each table whole; returns those that are complete, fewer than asked for if a stop was."""
    done: list[Followed] = []
    for followed in tables:
        floor = None if snapshot.position is None else str(snapshot.position)
        copying = replace(followed, phase="copying", floor=floor)
        target.ledger.begin_copy(copying)
        report.copy_started(followed.table.name, snapshot.estimated_rows(followed.table))
        if not _copy_one(snapshot, target, copying, report, stop):
            return done
        copied = replace(copying, phase="copied")
        target.ledger.record([copied])
        done += finish(target, [copied])
        report.copy_done(followed.table.name)
    return done


def _copy_one(snapshot: Snapshot, target: Target, followed: Followed, report: Report, stop: Stop) -> bool:
    table = followed.table
    target.applier.prepare([followed])
    if followed.may_empty:
        start = CopyMark(table, 0, snapshot.position, None, False)
        target.applier.apply(Batch((Truncate((table,)),), (), start))
    for chunk in snapshot.chunks(table, 0, None, CHUNK):
        assert isinstance(chunk.mark, CopyMark)
        if stop.requested:
            target.applier.rollback()
            return False
        if not followed.may_empty:
            # Rows of somebody else are in the table (--append): it can never be emptied and begun again, so the whole
            # copy is one transaction.
            chunk = replace(chunk, complete=chunk.mark.done)
        target.applier.apply(chunk)
        report.copied(table.name, chunk.rows, chunk.size)
    return True


def finish(target: Target, tables: Iterable[Followed]) -> list[Followed]:
    """What is made after the copy; the tables are then `live`."""
    live = [replace(followed, phase="live") for followed in tables]
    target.structure.finish(live)
    target.ledger.record(live)
    return live
