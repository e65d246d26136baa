"""The end that is read: its catalog, its snapshots, and its log."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from replicator.engine.facts import Finding, Listing, Objects, Policies, Retention
from replicator.model.builder import Limits
from replicator.model.change import Batch
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.selection import Selection
from replicator.model.stream import Followed, Identity, StreamState


class Catalog(Protocol):
    default_schema: str

    def tables(self, selection: Selection, policies: Policies) -> Listing:
        """Every table of the selection, and findings for those that cannot be copied."""
        ...

    def left_out(self, tables: Sequence[Table]) -> list[Finding]:
        """Notes on what these tables have that is neither copied nor followed: indexes, foreign keys, defaults."""
        ...


class Snapshot(Protocol):
    """One consistent view of the source. It ends with its session, and cannot be taken up again."""

    @property
    def position(self) -> Position | None:
        """The copy is consistent with exactly this point of the log; None where there is no log."""
        ...

    @property
    def as_of(self) -> str:
        """When the view was taken, by the source's clock: `YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
        ...

    def chunks(
        self,
        table: Table,
        part: int,
        cursor: tuple[str, ...] | None,
        limits: Limits,
        formats: Collection[str] = (),
    ) -> Iterator[Batch]:
        """The table's rows after `cursor`, each batch with the CopyMark that follows it.

        Where the source has one of `formats`, the rows come `Encoded` in it. The order is that of the key, or another
        that the source keeps for as long as the view lasts. The last has `done=True`; a table without rows gives one
        empty batch.
        """
        ...

    def settles(self) -> Position | None:
        """Asked when a table is read whole: None where its copy and the log meet exactly at `position`.

        Else the copy may be ahead of the log, up to here: what it has already comes again.
        """
        ...

    def estimated_rows(self, table: Table) -> int: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Prepared:
    """A stream's objects are at the source. `mark`: where its log begins. `snapshot`: what to copy first."""

    mark: Position
    snapshot: Snapshot


class Reader(Protocol):
    """Reads the log from a mark. Used by one thread."""

    def start(self, position: Position, tables: Collection[Followed], within: int = 0) -> None:
        """Begin after `position`, and after the first `within` changes of the next transaction, as the log carries
        them. A change is passed on only if its table's floor does not cover it."""
        ...

    def read(self, timeout: float, idle_after: float) -> Batch | None:
        """What has come, or None after `timeout` seconds.

        Whole transactions as soon as nothing more is waiting, or a part of a large one. Where the log has moved on
        without anything for us, and everything read before is confirmed, an empty batch with the new mark, at most
        every `idle_after` seconds. With `idle_after=0` somebody waits: the reader presses the source for news.
        """
        ...

    def seen(self) -> Position:
        """Everything up to here that is for us has been read. May be called from another thread."""
        ...

    def tick(self) -> None:
        """Keep the source's patience while nothing is read: sends feedback only. Cheap when it is not yet time."""
        ...

    def confirm(self, position: Position) -> None:
        """The mark at `position` is durable at the target: the source may forget what came before it."""
        ...

    def close(self) -> None: ...


class CopySource(Protocol):
    """An end that can be copied from. It needs no log."""

    @property
    def catalog(self) -> Catalog: ...

    def copy_findings(self, tables: Sequence[Table]) -> list[Finding]:
        """Is everything ready to copy these tables? Touches nothing."""
        ...

    def identity(self) -> str:
        """Which server and database this is, for the ledger: a JSON object that has its `url`, without a password."""
        ...

    def recognise(self, identity: str) -> None:
        """Is this the server and database of that `identity`? Raises Refused or PositionLost where not."""
        ...

    def view(self) -> Snapshot:
        """A consistent view that has no position in the log. Makes nothing."""
        ...

    def close(self) -> None: ...


class Source(CopySource, Protocol):
    """The end whose log is read."""

    def findings(self, tables: Sequence[Followed], objects: Objects) -> list[Finding]:
        """Is everything ready to copy these tables and to follow them? Touches nothing."""
        ...

    def prepare(self, identity: Identity, tables: Sequence[Followed]) -> Prepared:
        """Make the stream's objects; those of an earlier attempt with this identity are removed first."""
        ...

    def guard(self, state: StreamState, mark: Position) -> None:
        """Can the source still give everything after `mark`? Raises PositionLost where not, or not provably."""
        ...

    def follow(self, identity: Identity, tables: Sequence[Followed]) -> None:
        """Make the log carry exactly these tables from here on."""
        ...

    def carried(self, identity: Identity) -> Mapping[Name, str]:
        """For each table that the log carries now, a token that stays the same for as long as it does without a gap.

        `guard` compares them with those in the ledger.
        """
        ...

    def snapshot(self) -> Snapshot:
        """A new consistent view, later than the stream's own."""
        ...

    def reader(self, identity: Identity, limits: Limits) -> Reader: ...

    def head(self) -> Position:
        """A position that covers every commit that is visible at the source now."""
        ...

    def retention(self, identity: Identity, mark: Position) -> Retention:
        """The log that the source still has for a stream at `mark`."""
        ...

    def give_up(self, identity: Identity) -> None:
        """Let the source forget the log that it keeps for the stream, whose reader is closed: its position is lost."""
        ...

    def drop(self, identity: Identity) -> list[str]:
        """Remove the stream's objects, those that the user made excepted; says what was removed. Done twice it does
        nothing. Raises Fenced where a running reader holds them."""
        ...

    def strays(self, name: str) -> list[str]:
        """The statements that remove objects of any stream of that name that nobody reads now, if there are any."""
        ...
