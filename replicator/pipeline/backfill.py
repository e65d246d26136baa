"""`backfill`: copy the tables once, from a snapshot, without a log.

Nothing is made at the source. A snapshot ends with its session, so a run that goes on after a crash copies what is left
under a later one: its tables are then of different times, and the outcome says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from replicator.engine import CopySource, Finding, Target
from replicator.errors import Refused, Unfinished
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.choosing import PENDING, choose, reshaped, survey
from replicator.pipeline.copying import copy, finish
from replicator.pipeline.options import End, Options
from replicator.pipeline.preflight import admit
from replicator.pipeline.progress import Report
from replicator.pipeline.run import Run
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")


class Backfill(Run[CopySource]):
    """`run` returns the tables, each with the time (`as_of`) that its copy shows.

    `copied`: how many of them this run has copied.
    """

    copied = 0

    def __init__(self, source: End, target: End, options: Options, stop: Stop, report: Report) -> None:
        super().__init__(source, target, options, stop, report)
        self._tables: dict[str, Followed] = {}

    def run(self) -> list[Followed]:
        self._until_done()
        left = [name for name, followed in self._tables.items() if followed.phase != "live"]
        if left or not self._tables:
            raise Unfinished(
                f"stopped before everything was copied; left: {', '.join(left) or 'all tables'}",
                remedy="run it again: it goes on with these",
            )
        return list(self._tables.values())

    def _open(self) -> CopySource:
        return self._source_end.engine.copy_source(self._source_end.endpoint, log.warning)

    def _work(self, source: CopySource, target: Target) -> None:
        known = target.ledger.peek(self._options.name)
        if known is not None:
            is_backfill(known)
            source.recognise(known.source)
        tables = self._choose(source, target, known)
        chosen = {followed.table.name for followed in tables}
        target.open(self._options.name)
        leave = [n for n, f in known.tables.items() if n not in chosen and f.phase != "left"] if known else []
        state = target.ledger.claim(
            self._options.name, source.identity(), self._options.objects, leave, first="backfill", held=self._epoch
        )
        self._hold(known, state)
        self._note(tables)
        self._note(finish(target, [f for f in tables if f.phase == "copied"]))
        if pending := [f for f in tables if f.phase in PENDING]:
            self._copy(source, target, state, pending)

    def _choose(self, source: CopySource, target: Target, known: StreamState | None) -> list[Followed]:
        def ready(fresh: Sequence[Followed]) -> list[Finding]:
            return source.copy_findings([followed.table for followed in fresh])

        choice = choose(source, target, self._target_end.engine.places, self._options, known, ready)
        admit(choice.findings)
        return choice.tables

    def _copy(self, source: CopySource, target: Target, state: StreamState, pending: list[Followed]) -> None:
        pending = survey(target, state, pending, truncate=self._options.truncate)
        # In one transaction: from here on a run without --restart goes on with this one.
        target.ledger.record(pending)
        self._options = replace(self._options, restart=False)
        snapshot = source.view()
        try:
            target.structure.create(pending, reshaped(state, pending))
            done = copy(snapshot, target, pending, self._report, self._stop, self._pulse)
            self.copied += len(done)
            self._note(done)
        finally:
            snapshot.close()

    def _note(self, tables: Sequence[Followed]) -> None:
        self._tables |= {str(followed.table.name): followed for followed in tables}


def is_backfill(known: StreamState) -> None:
    if known.phase != "backfill":
        raise Refused(
            f"{known.identity.name!r} at the target is a stream that `sync` follows",
            remedy="use another --name with other target tables, or `replicator recopy` to copy its tables again",
        )
