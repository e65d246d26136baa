"""What the ledger keeps of a stream and of each table in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from replicator.model.options import TableOptions
from replicator.model.schema import Name, Table

StreamPhase = Literal["preparing", "streaming", "backfill"]
"""`preparing`: until the first mark is saved, everything at the source may be removed and made again. Then
`streaming`, for ever: the slot is never remade. `backfill`: copies without a log, which has no mark."""

TablePhase = Literal["chosen", "copying", "copied", "live", "left", "returning"]
"""`chosen`: its copy has never begun. `copied`: all rows are there, its unique indexes not yet. `left`: the selection
no longer has it; its copy stays where it is. `returning`: it is back in the selection, and to be copied anew."""


@dataclass(frozen=True)
class Identity:
    """A stream's name, the random number that its objects at the source carry, and objects that the user named."""

    name: str
    uid: str
    publication: str | None = None
    slot: str | None = None

    @property
    def object_name(self) -> str:
        """What the publication and the slot are called: at most 60 letters, digits and underscores."""
        return object_name(self.name, self.uid)


def object_name(name: str, uid: str = "") -> str:
    """Without a uid: how the objects' names of every stream of that name begin."""
    return f"replicator_{name}_{uid[:8]}"


@dataclass(frozen=True)
class Followed:
    """One table of a stream.

    `floor`: the text of the position that its copy is consistent with, `never`, or None before its first copy.
    `made`: we made the target table. `may_empty`: it was absent, empty or `--truncate`d when its first copy began, so
    a new copy may empty it. `policies`: for each column the type policies that the user chose. `carried`: the source's
    token for the log's carrying this table; another token means that there may have been a gap. `as_of`: the source's
    time when the snapshot of its copy was taken, `YYYY-MM-DDTHH:MM:SS.ffffffZ`. `settles`: the text of the position up
    to which its copy overlaps the log, None where the two meet at the floor. `overwritten`: how many rows of the target
    gave way (`on_conflict`).
    """

    table: Table
    target: Name
    phase: TablePhase = "chosen"
    floor: str | None = None
    made: bool = False
    may_empty: bool = False
    policies: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    carried: str = ""
    options: TableOptions = field(default_factory=TableOptions)
    as_of: str | None = None
    settles: str | None = None
    overwritten: int = 0

    def chosen(self, column: str) -> dict[str, str]:
        """The policies for a column."""
        return dict(self.policies.get(column, {}))

    @property
    def digested(self) -> bool:
        """Does the target table have a digest of each row? One without columns needs something to stand for a row."""
        return not self.table.key and (self.options.digest_column or not self.table.columns)


@dataclass(frozen=True)
class StreamState:
    """A stream as its ledger has it. `mark`: the text of the saved position, None while `preparing`."""

    identity: Identity
    source: str
    phase: StreamPhase
    epoch: int
    mark: str | None
    within: int
    tables: Mapping[Name, Followed]


@dataclass(frozen=True)
class Beat:
    """What a runner says of itself every few seconds. Times are seconds since 1970, UTC.

    `lag_seconds`: how long the oldest point of the source's log that is not reached has been waiting, true to one beat;
    0 where everything is applied, None while there is no log to follow. `retained_bytes`, `room_bytes`, `keeps_seconds`
    and `danger` as in `Retention`.
    """

    pid: int
    host: str
    started_at: float
    at: float
    head: str | None = None
    retained_bytes: int | None = None
    error: str | None = None
    lag_seconds: float | None = None
    room_bytes: int | None = None
    keeps_seconds: float | None = None
    danger: str | None = None
