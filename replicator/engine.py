"""What an engine implements, and the only place where a URL becomes code.

An engine is a folder of `replicator.engines` whose `ENGINE` has the shape below. The pipeline knows these protocols
and no engine; nothing outside an engine's folder asks which engine it is.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from replicator.errors import UsageError
from replicator.model.builder import Limits
from replicator.model.change import Batch
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.selection import Places, Selection
from replicator.model.stream import Beat, Followed, Identity, StreamPhase, StreamState
from replicator.model.values import Row

Policies = Mapping[Name, Mapping[str, Mapping[str, str]]]
"""The user's choices for columns: by table, then column, then the policy's name."""


@dataclass(frozen=True)
class Endpoint:
    """Where one end is. `url` has the password in it and is never printed; `shown` may be.

    `place`: the same text for every way of writing the same database.
    """

    url: str
    shown: str
    place: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What an engine can do, as data."""

    reads_log: bool
    writes: bool
    transactional_ddl: bool
    parallel_writers: bool


@dataclass(frozen=True)
class Finding:
    """What a check found. `refuse`: nothing may be made until it is mended. `remedy`: the statement that mends it.

    `note`: what is as it should be, and good to know before the start; only `check` says it.
    """

    level: Literal["refuse", "warn", "note"]
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class Listing:
    """What a source has: the tables that match a selection, and what was left out of it and why."""

    tables: tuple[Table, ...]
    findings: tuple[Finding, ...]


ALREADY_MADE = "already made"
"""In place of a slot's name, for a stream that runs already: there is no slot to check, and none to be made."""


@dataclass(frozen=True)
class Objects:
    """Objects at the source that the user made for us; we use them and never drop them."""

    publication: str | None = None
    slot: str | None = None


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

    def chunks(self, table: Table, part: int, cursor: tuple[str, ...] | None, limits: Limits) -> Iterator[Batch]:
        """The table's rows after `cursor`, each batch with the CopyMark that follows it.

        The order is that of the key, or another that the source keeps for as long as the view lasts. The last has
        `done=True`; a table without rows gives one empty batch.
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

    def start(self, position: Position, tables: Collection[Followed]) -> None:
        """Begin after `position`. A change is passed on only if its table's floor does not cover it."""
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

    def retained_bytes(self, identity: Identity) -> int | None:
        """How much log the source keeps for the stream."""
        ...

    def drop(self, identity: Identity) -> list[str]:
        """Remove the stream's objects, those that the user made excepted; says what was removed. Done twice it does
        nothing. Raises Fenced where a running reader holds them."""
        ...

    def strays(self, name: str) -> list[str]:
        """The statements that remove objects of any stream of that name, as far as there are any."""
        ...


class Applier(Protocol):
    """Writes batches. Every call of `apply` locks the fence first and writes the mark last, in one transaction."""

    def prepare(self, tables: Collection[Followed]) -> None:
        """These are the tables that may come, with their targets and policies."""
        ...

    def apply(self, batch: Batch) -> None:
        """Write the batch and its mark in one target transaction; durable when it returns.

        A batch that is not complete leaves the transaction open for the next part. After any error the transaction
        is rolled back, and the applier must be thrown away: what was committed is what the ledger then says.

        Raises Fenced, Conflict, ValueNotHeld, CannotApply, Retryable.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """What is written inside, here and through the ledger, is one transaction: durable after its end.

        Nothing else of the target may be used inside.
        """
        ...

    def rollback(self) -> None:
        """Give up the open transaction, if there is one."""
        ...


class Ledger(Protocol):
    """The bookkeeping at the target, and the fence. Every write but a beat is behind the fence."""

    def names(self) -> list[str]:
        """The streams that there are. Makes nothing."""
        ...

    def heard(self, name: str) -> Beat | None:
        """What the stream's runner said last. Makes nothing."""
        ...

    def peek(self, name: str) -> StreamState | None:
        """The stream as it stands; None if there is none. Makes nothing."""
        ...

    def claim(
        self,
        name: str,
        source: str,
        objects: Objects,
        leave: Collection[Name],
        first: StreamPhase = "preparing",
        held: int | None = None,
    ) -> StreamState:
        """Take the stream: raise its epoch, so that any other run of it can write no more.

        `held`: the epoch that this run had before it lost a peer; another one means that another run has taken over,
        which a retry must not undo.

        A new stream gets its row, with a random uid, in state `first`. The tables in `leave` are no longer
        followed: they are set to `left` with the floor NEVER in the same transaction, or forgotten if their copy has
        never begun.

        `source` is kept for a new stream; whether a known one belongs to this source, `CopySource.recognise` says.

        Raises Fenced when another run holds the stream, PositionLost when its saved position is gone.
        """
        ...

    def record(
        self,
        tables: Iterable[Followed],
        *,
        mark: Position | None = None,
        phase: StreamPhase | None = None,
        source: str | None = None,
    ) -> None:
        """Save these tables in one transaction; `mark` and `phase`: the end of `preparing`; `source`: the server, as
        it calls itself now."""
        ...

    def renew(self, source: str) -> StreamState:
        """Begin the claimed stream anew, with another uid, as `preparing`: every table is to be copied again."""
        ...

    def forget(self) -> None:
        """Remove all that is kept of the claimed stream, and the bookkeeping tables after the last stream."""
        ...

    def owners(self, name: str) -> dict[Name, str]:
        """The target tables of other streams than `name`, each with its stream. Makes nothing."""
        ...

    def begin_copy(self, *tables: Followed) -> None:
        """Save the tables as `copying`, each with one part whose cursor stands before the first row."""
        ...

    def beat(self, name: str, beat: Beat) -> None:
        """Say that this run lives. Never waits long, and never fails the run."""
        ...


class Structure(Protocol):
    """A target's tables."""

    def findings(self, tables: Sequence[Followed], known: Mapping[Name, Followed]) -> list[Finding]:
        """Can these tables land? `known`: what the ledger has of them already. Touches nothing."""
        ...

    def survey(self, tables: Sequence[Followed]) -> dict[Name, Literal["absent", "empty", "filled"]]:
        """By the source's name, how each target table stands."""
        ...

    def create(self, tables: Sequence[Followed], remake: Collection[Name]) -> None:
        """Make those that are absent, and anew those in `remake` (source names) that we made. Behind the fence."""
        ...

    def finish(self, tables: Sequence[Followed]) -> None:
        """After the copy: unique indexes, on the tables that we made. Behind the fence."""
        ...

    def drop(self, tables: Sequence[Followed]) -> None:
        """Remove the target tables that we made, where they are there. Behind the fence."""
        ...

    def unheld(self, followed: Followed, rows: list[Row]) -> list[str]:
        """For each row that the target cannot hold exactly: its key, its column and why. Touches nothing."""
        ...

    def stored(self, followed: Followed) -> tuple[str, ...]:
        """For each column the target's type, as `check` shows it. Touches nothing."""
        ...


class Target(Protocol):
    """The end that is written. One connection, used by one thread; `cancel` alone may come from another."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def structure(self) -> Structure: ...

    @property
    def applier(self) -> Applier: ...

    def look(self) -> bool:
        """Connect for reading the ledger; False where there is no such database yet. Makes nothing."""
        ...

    def held(self, name: str) -> bool:
        """Has a live run the stream `name` in hand now?"""
        ...

    def findings(self) -> list[Finding]:
        """Can it be written, and is it ours? Touches nothing."""
        ...

    def open(self, name: str) -> None:
        """Connect for writing, as the runner of stream `name`. Makes what the engine needs (the SQLite file)."""
        ...

    def cancel(self) -> None:
        """End the statement that is running, from another thread: its transaction is then rolled back."""
        ...

    def forget(self) -> None:
        """`Ledger.forget`, and what the runner of the claimed stream has made beside the ledger."""
        ...

    def close(self) -> None: ...


class Engine(Protocol):
    schemes: tuple[str, ...]
    capabilities: Capabilities
    places: Places

    def endpoint(self, url: str, password: str | None) -> Endpoint:
        """Check a URL without connecting. Raises UsageError."""
        ...

    def policies(self) -> Mapping[str, frozenset[str]]:
        """The column policies that this engine knows as a target, each with its words."""
        ...

    def copy_source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> CopySource: ...

    def source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        """Only where the engine's capabilities say that it reads a log."""
        ...

    def target(self, endpoint: Endpoint) -> Target: ...

    def removal(self, identity: Identity) -> list[str]:
        """The statements that remove a stream's objects at a source that cannot be reached. Connects to nothing."""
        ...

    def position(self, text: str) -> Position:
        """Read back what `str` wrote."""
        ...


def find(url: str) -> Engine:
    """The engine for a URL's scheme. The folder `replicator/engines` is the registry."""
    scheme = url.partition("://")[0]
    known: list[str] = []
    package = importlib.import_module("replicator.engines")
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        engine: Engine = importlib.import_module(f"replicator.engines.{module.name}").ENGINE
        if "://" in url and scheme in engine.schemes:
            return engine
        known += engine.schemes
    raise UsageError(
        f"no engine for {scheme!r}" if "://" in url else "not a URL: it has no scheme",
        remedy="a URL begins with " + ", ".join(f"{name}://" for name in known),
    )
