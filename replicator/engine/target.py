"""The end that is written: its tables, its ledger with the fence, and the applier."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from replicator.engine.facts import Finding, Objects
from replicator.model.change import Batch
from replicator.model.position import Position
from replicator.model.schema import Name
from replicator.model.stream import Beat, Followed, StreamPhase, StreamState
from replicator.model.values import Row


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

    def formats(self, followed: Followed) -> Collection[str]:
        """The formats in which the table's rows may come `Encoded` and are then exactly what the rows would be.
        Touches nothing."""
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

    def same_as(self, identity: str) -> bool:
        """Is this the database that calls itself so as a source (`CopySource.identity`)? Only after `look` or
        `findings`."""
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
