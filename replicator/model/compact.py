"""Compaction: the net effect of a table's changes on each key.

Sound only where keys are unique after every row change at the source. A deferrable primary key is not, so such
tables are followed by their whole rows and never compacted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from replicator.errors import Conflict
from replicator.model.change import Rows
from replicator.model.schema import Table
from replicator.model.values import MISSING, Row


@dataclass(slots=True)
class Entry:
    """What happens to one key.

    `existed`: was there a row under this key before the first change? (The first change is an update or a delete.)
    `row`: the row in the end, None for gone. `origin`: the key under which the target has, before the batch, the
    values that `row` is MISSING.
    """

    existed: bool
    row: Row | None
    origin: Row | None

    @property
    def partial(self) -> bool:
        return self.row is not None and MISSING in self.row


@dataclass(slots=True)
class Net:
    """The net effect on one table, by key, in the order in which the keys first appeared."""

    table: Table
    entries: dict[Row, Entry] = field(default_factory=dict)

    def deletes(self) -> list[Row]:
        return [key for key, entry in self.entries.items() if entry.existed and entry.row is None]

    def updates(self) -> list[tuple[Row, Row]]:
        """Key and row; a value that is MISSING stays as the target has it."""
        return [(key, e.row) for key, e in self.entries.items() if e.existed and e.row is not None]

    def inserts(self) -> list[Row]:
        return [e.row for e in self.entries.values() if not e.existed and e.row is not None]

    def existed(self) -> list[Row]:
        return [key for key, entry in self.entries.items() if entry.existed]

    def strangers(self) -> list[Entry]:
        """Entries with values that must be read from the target under another key than their own."""
        return [e for key, e in self.entries.items() if e.partial and not (e.existed and e.origin == key)]

    def partials(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.partial]


def merge(new: Row, old: Row) -> Row:
    """`new`, with what it is MISSING taken from `old`."""
    if MISSING not in new:
        return new
    return tuple(o if n is MISSING else n for n, o in zip(new, old, strict=True))


def compact(table: Table, runs: Iterable[Rows]) -> Net:
    """The net effect of `runs`, all of `table`, in commit order.

    Raises Conflict where they contradict one another: a row inserted under a key that has one, or changed under a key
    that has none.
    """
    net = Net(table)
    entries = net.entries
    at = table.key_at
    for run in runs:
        if run.op == "insert":
            for row in run.rows:
                _put(net, tuple([row[i] for i in at]), row, None)
        elif run.op == "delete":
            for key in run.keys:
                _remove(net, key)
        else:
            for row, key in zip(run.rows, run.keys, strict=True):
                new_key = tuple([row[i] for i in at])
                entry = entries.get(key)
                if new_key == key:
                    if entry is None:
                        entries[key] = Entry(True, row, key)
                    elif entry.row is None:
                        raise _contradiction(table, key)
                    else:
                        entry.row = merge(row, entry.row)
                elif entry is None:
                    _remove(net, key)
                    _put(net, new_key, row, key)
                else:
                    if entry.row is None:
                        raise _contradiction(table, key)
                    moved, origin = merge(row, entry.row), entry.origin
                    _remove(net, key)
                    _put(net, new_key, moved, origin)
    return net


def _put(net: Net, key: Row, row: Row, origin: Row | None) -> None:
    entry = net.entries.get(key)
    if entry is None:
        net.entries[key] = Entry(False, row, origin)
    elif entry.row is None:
        entry.row, entry.origin = row, origin
    else:
        raise _contradiction(net.table, key)


def _remove(net: Net, key: Row) -> None:
    entry = net.entries.get(key)
    if entry is None:
        net.entries[key] = Entry(True, None, None)
    elif entry.row is None:
        raise _contradiction(net.table, key)
    else:
        entry.row, entry.origin = None, None


def _contradiction(table: Table, key: Row) -> Conflict:
    return Conflict(
        f"{table.name}: the log's changes of the row with key {named_key(table, key)} contradict one another",
        remedy="the target cannot be trusted for this table any more: copy it anew",
    )


def named_key(table: Table, key: Sequence[object]) -> str:
    """A key for a message: `id=7, part=2`; for a table without a key only how many columns matched."""
    if not table.key:
        return f"(the whole row, {len(table.columns)} columns)"
    return ", ".join(f"{name}={value}" for name, value in zip(table.key, key, strict=True))
