"""What flows: runs of row changes, the commits among them, and the mark that says how far they reach.

The unit is a run, not a row: consecutive changes of one table and one operation, as lists of tuples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from replicator.model.position import Position
from replicator.model.schema import Table
from replicator.model.values import Row

Operation = Literal["insert", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive changes of one table and one operation.

    `rows`: the new rows, in the order of `table.columns` (empty for deletes). `keys`: the key that each target row is
    found by, as it was before the change, in the order of `table.key_at` (empty for inserts).
    """

    table: Table
    op: Operation
    rows: list[Row]
    keys: list[Row]

    def __len__(self) -> int:
        return len(self.keys) if self.op == "delete" else len(self.rows)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Inserts as the very data of a format that both ends have: nobody between them looks at the values.

    `count`: how many rows. `decoded`: the same as rows, for whoever must see them after all.
    """

    table: Table
    format: str
    data: bytes
    count: int
    decoded: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Truncate:
    """All rows of these tables are gone, in one statement."""

    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Changes of a transaction in two phases, after its first: to be kept at the target until it is resolved.

    `xid`: the transaction's name. There may be none, and several of one `xid`, which follow one another.
    """

    xid: str
    changes: tuple[Rows | Truncate, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The second phase: the kept changes of `tables` are to be applied (`commit`); then all of them are forgotten.

    A change of another table is one that its copy has already, or that is not followed any more.
    """

    xid: str
    commit: bool
    tables: tuple[Table, ...]


Change = Rows | Encoded | Truncate | Prepared | Resolved


@dataclass(frozen=True, slots=True)
class Commit:
    """The end of one source transaction.

    `committed_at`: seconds since 1970, UTC, by the source's clock. `end`: how many row changes of the batch stand
    before it.
    """

    position: Position
    committed_at: float
    xid: int
    end: int


@dataclass(frozen=True, slots=True)
class StreamMark:
    """All of the log up to `position` is applied, and `within` row changes of the next transaction.

    `within` counts as the log carries them, and is not 0 only before a schema change on a target whose DDL commits
    by itself.
    """

    position: Position
    within: int = 0


@dataclass(frozen=True, slots=True)
class CopyMark:
    """Part `part` of a table's copy stands at `cursor`, the last key copied; `done` when there are no more rows."""

    table: Table
    part: int
    position: Position | None
    cursor: tuple[str, ...] | None
    done: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """What one `Applier.apply` writes, together with its mark, in one target transaction.

    `complete=False`: a part of a transaction that is too large for one batch; the mark comes with the last part.
    `size` is in bytes, as read from the source.
    """

    changes: tuple[Change, ...]
    commits: tuple[Commit, ...]
    mark: StreamMark | CopyMark | None
    complete: bool = True
    size: int = 0
    rows: int = field(default=0)
