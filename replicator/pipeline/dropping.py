"""`drop`: remove what a stream or a backfill has made: at the source, in the ledger, and the copied tables if asked.

The source comes first: only the ledger knows what its objects are called. Where it cannot be reached, the ledger stays,
so that a later `drop` finds its way; the statements are printed for somebody to run them there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from replicator.engine import Objects, Target
from replicator.errors import Fenced, LoginRefused, PositionLost, Refused, Retryable
from replicator.model.schema import Name
from replicator.model.selection import Places
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.options import End

log = logging.getLogger("replicator")


@dataclass
class Dropped:
    """`left`: statements for a person to run at the source, and why they could not be run; `ours`: whether what they
    remove is known to be this stream's. `tables`: what stays."""

    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    why: str = ""
    ours: bool = True
    tables: list[str] = field(default_factory=list)


def drop(
    source: End,
    target: End,
    name: str,
    *,
    tables: bool,
    leave_source: bool,
    agreed: Callable[[Sequence[Followed]], bool],
) -> Dropped:
    """`tables`: drop the copied tables too, those that we made, if `agreed` says so. `leave_source`: never mind what
    stays at the source.

    Raises Refused where the stream belongs to another source, Fenced where it is running.
    """
    outcome = Dropped()
    with closing(target.engine.target(target.endpoint)) as end:
        known = end.ledger.peek(name) if end.look() else None
        if known is None:
            _strays(source, name, outcome)
            return outcome
        made = _made(end, target.engine.places, known) if tables else []
        if made and not agreed(made):
            raise Refused("nothing was dropped: the copied tables were asked for, and not agreed to")
        end.open(name)
        named = Objects(known.identity.publication, known.identity.slot)
        state = end.ledger.claim(name, known.source, named, ())
        _at_source(source, state, outcome)
        if not outcome.left or leave_source:
            _at_target(end, state, made, outcome)
    return outcome


def _made(end: Target, places: Places, known: StreamState) -> list[Followed]:
    """The tables that we made, where they are still the stream's: a place that it has left may be somebody else's by
    now, as may one whose copy never began, if it has rows."""
    ours = [followed for followed in known.tables.values() if followed.made]
    others = [f.target for f in known.tables.values() if not f.made and f.phase != "left"]
    taken = {_place(places, name) for name in (*others, *end.ledger.owners(known.identity.name))}
    stands = end.structure.survey(ours)
    return [
        f
        for f in ours
        if _place(places, f.target) not in taken and not (f.phase == "chosen" and stands[f.table.name] == "filled")
    ]


def _place(places: Places, name: Name) -> tuple[str, str]:
    return places.fold(name.schema), places.fold(name.name)


def _strays(source: End, name: str, outcome: Dropped) -> None:
    """Without a ledger nobody can tell whose they are: they are named, and left."""
    if not source.engine.capabilities.reads_log:
        return
    try:
        with closing(source.engine.source(source.endpoint, log.warning)) as end:
            outcome.left, outcome.ours = end.strays(name), False
    except (Retryable, LoginRefused) as error:
        outcome.why = f"whether the source has something of it could not be asked: {error.what}"
    else:
        outcome.why = (
            outcome.left
            and (
                f"the target keeps nothing of a stream {name!r}, so whether these were its own, or another target's "
                "of the same name, nobody can tell"
            )
        ) or ""


def _at_source(source: End, state: StreamState, outcome: Dropped) -> None:
    if state.phase == "backfill":
        return
    try:
        with closing(source.engine.source(source.endpoint, log.warning)) as end:
            try:
                end.recognise(state.source)
            except PositionLost:
                pass  # another server behind the same URL: what has our uid in its name is still ours
            try:
                outcome.removed += end.drop(state.identity)
            except Fenced:
                raise
            except Refused as error:
                outcome.left, outcome.why = source.engine.removal(state.identity), error.what
    except (Retryable, LoginRefused) as error:
        outcome.left, outcome.why = source.engine.removal(state.identity), error.what


def _at_target(end: Target, state: StreamState, made: Sequence[Followed], outcome: Dropped) -> None:
    # In one transaction: a backfill whose tables are gone would else be complete for ever.
    with end.applier.together():
        end.structure.drop(made)
        end.forget()
    outcome.removed += [f"target table {followed.target.name}" for followed in made]
    gone = {followed.table.name for followed in made}
    outcome.tables = [f.target.name for name, f in state.tables.items() if name not in gone and f.phase != "chosen"]
    outcome.removed.append(f"the bookkeeping of {state.identity.name!r} at the target")
