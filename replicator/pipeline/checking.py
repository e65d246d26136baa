"""`check`: everything that `sync` or `backfill` would refuse or warn of, and what they leave out. Makes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

from replicator.engine import CopySource, Finding, Source, Target
from replicator.errors import CannotApply, PositionLost, Refused, ReplicatorError
from replicator.model.change import Rows
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.backfill import is_backfill
from replicator.pipeline.choosing import choose
from replicator.pipeline.copying import CHUNK
from replicator.pipeline.options import End, Options
from replicator.pipeline.preflight import weighed
from replicator.pipeline.sync import is_stream, objects, strays

log = logging.getLogger("replicator")


@dataclass
class Checked:
    """`tables`: what would be copied, each with the types that its columns have at the target."""

    findings: list[Finding] = field(default_factory=list)
    tables: list[tuple[Followed, tuple[str, ...]]] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return not any(finding.level == "refuse" for finding in self.findings)


def check_sync(source: End, target: End, options: Options, *, values: bool) -> Checked:
    """`values`: read every row, and look for what the target cannot hold.

    Raises what a connection raises: Refused, Retryable."""
    with ExitStack() as ends:
        origin = source.engine.source(source.endpoint, log.warning)
        ends.callback(origin.close)

        def asked(known: StreamState | None, tables: Sequence[Followed]) -> list[Finding]:
            found = origin.findings(tables, objects(options, known)) + _goes_on(source, origin, known)
            return found + strays(origin, options.name, known)

        return _check(origin, target, options, is_stream, asked, values)


def check_backfill(source: End, target: End, options: Options, *, values: bool) -> Checked:
    """`values`: read every row, and look for what the target cannot hold.

    Raises what a connection raises: Refused, Retryable."""
    with ExitStack() as ends:
        origin = source.engine.copy_source(source.endpoint, log.warning)
        ends.callback(origin.close)

        def asked(known: StreamState | None, tables: Sequence[Followed]) -> list[Finding]:
            return origin.copy_findings([followed.table for followed in tables])

        return _check(origin, target, options, is_backfill, asked, values)


def _check(
    origin: CopySource,
    target: End,
    options: Options,
    admitted: Callable[[StreamState], None],
    asked: Callable[[StreamState | None, Sequence[Followed]], list[Finding]],
    values: bool,
) -> Checked:
    checked = Checked()
    with ExitStack() as ends:
        at = target.engine.target(target.endpoint)
        ends.callback(at.close)
        checked.findings += at.findings()
        if not checked.ready:
            return checked  # nothing more can be asked of the target, and much of the rest depends on it
        try:
            known = at.ledger.peek(options.name)
            if known is not None:
                admitted(known)
                origin.recognise(known.source)
            choice = choose(origin, at, target.engine.places, options, known, lambda fresh: [])
            checked.findings += choice.findings
            checked.findings += weighed(asked(known, choice.tables), allow_untested=options.allow_untested)
            checked.findings += origin.catalog.left_out([followed.table for followed in choice.tables])
            checked.tables += _stored(at, choice.tables)
            if values and checked.ready:
                checked.findings += _unheld(origin, at, choice.tables)
        except (Refused, PositionLost, CannotApply) as error:
            checked.findings.append(_finding(error))
    return checked


def _goes_on(end: End, origin: Source, known: StreamState | None) -> list[Finding]:
    """Can a stream that is known already go on from where it stands?"""
    if known is None or known.phase != "streaming":
        return []
    try:
        assert known.mark is not None
        origin.guard(known, end.engine.position(known.mark))
    except (Refused, PositionLost) as error:
        return [_finding(error)]
    return []


def _stored(target: Target, tables: Sequence[Followed]) -> list[tuple[Followed, tuple[str, ...]]]:
    try:
        return [(followed, target.structure.stored(followed)) for followed in tables]
    except Refused:
        return []  # a policy that does not fit its column: the findings say so


def _unheld(origin: CopySource, target: Target, tables: Sequence[Followed]) -> Iterator[Finding]:
    """Each table's rows that would stop the copy: how many, and the first of them."""
    with closing(origin.view()) as view:
        for followed in tables:
            first, count = "", 0
            for chunk in view.chunks(followed.table, 0, None, CHUNK):
                for change in chunk.changes:
                    assert isinstance(change, Rows)
                    found = target.structure.unheld(followed, change.rows)
                    first, count = first or (found[0] if found else ""), count + len(found)
            if count:
                yield Finding(
                    "refuse",
                    f"{count} rows of {followed.table.name} have a value that the target cannot hold; "
                    f"the first: {first}",
                    "change them at the source, or choose a policy for the column: docs/reference/types.md",
                )


def _finding(error: ReplicatorError) -> Finding:
    return Finding("refuse", error.what, error.remedy)
