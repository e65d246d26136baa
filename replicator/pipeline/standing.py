"""`status`: how the streams at a target stand, from its ledger alone. Makes nothing, and needs no source."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from replicator.errors import Refused
from replicator.model.stream import Beat, StreamState
from replicator.pipeline.options import End


@dataclass(frozen=True)
class Standing:
    """`running`: a live run has the stream in hand. `heard`: what its runner, or the last one, said last."""

    state: StreamState
    running: bool
    heard: Beat | None


def standings(target: End, name: str | None) -> list[Standing]:
    """Of every stream, or of the one of that name.

    Raises Refused where there is none of that name.
    """
    with closing(target.engine.target(target.endpoint)) as end:
        if not end.look():
            raise Refused(f"there is no database at {target.endpoint.shown}", remedy="look at TARGET")
        names = end.ledger.names()
        if name is not None and name not in names:
            raise Refused(
                f"there is no stream {name!r} at the target", remedy=f"there are: {', '.join(names) or 'none'}"
            )
        found = []
        for each in names if name is None else [name]:
            state = end.ledger.peek(each)
            if state is not None:
                found.append(Standing(state, end.held(each), end.ledger.heard(each)))
        return found
