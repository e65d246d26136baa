"""What a TABLE_MAP event means for the tables that we follow, and the rows behind it.

The log alone says what shape a row has. The ledger says what shape we agreed to; where the two differ, the first change
that would be applied stops the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from replicator import remedies
from replicator.engines.mysql import tablemap
from replicator.engines.mysql.decoders import row_decoder
from replicator.engines.mysql.flavor import Flavor, Version
from replicator.engines.mysql.forms import fits
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.rowimage import DELETES, PARTIAL_UPDATE, WRITES
from replicator.engines.mysql.tablemap import TableMap
from replicator.engines.mysql.values import from_default
from replicator.errors import NotUnderstood, ReplicatorError, SchemaChanged, ValueNotHeld
from replicator.model.builder import Builder
from replicator.model.position import NEVER
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed
from replicator.model.values import MISSING, Row, Value

Covers = Callable[[BinlogPosition], bool]
"""Does this floor cover the open transaction?"""
Where = Callable[[], str]


class RowPlan:
    """How the rows behind one TABLE_MAP are read: resolved once."""

    def __init__(self, followed: Followed, shape: TableMap, *, wide_timestamps: bool) -> None:
        table = self.table = followed.table
        self.insert_only = followed.options.insert_only
        self.key_at = table.key_at
        self._defaults: dict[int, Value] = {}
        types = {column.name: column.type for column in table.columns}
        self._decoder = row_decoder(shape, types, unsigned_timestamps=wide_timestamps)

    def rows(self, kind: int, body: bytes, builder: Builder) -> None:
        """Raises NotUnderstood for an image that does not tell enough."""
        image = self._decoder.rows(kind, body)
        if kind in WRITES:
            assert image.after is not None
            inserted = [self._with_defaults(row) if MISSING in row else row for row in image.after]
            builder.rows(self.table, "insert", inserted, [], len(body))
        elif self.insert_only:
            return
        elif kind in DELETES:
            assert image.before is not None
            builder.rows(self.table, "delete", [], self._keys(image.before), len(body))
        else:
            assert image.before is not None and image.after is not None
            after = [
                _filled(row, old) if MISSING in row else row for row, old in zip(image.after, image.before, strict=True)
            ]
            builder.rows(self.table, "update", after, self._keys(image.before), len(body))

    def _keys(self, before: Sequence[Row]) -> list[Row]:
        at = self.key_at
        keys: list[Row] = [tuple([row[i] for i in at]) for row in before]
        if before and MISSING in before[0] and any(MISSING in key for key in keys):
            raise NotUnderstood(
                f"{self.table.name}: a change in the log lacks the key of its old row",
                remedy="SET GLOBAL binlog_row_image = 'FULL' at the source, then copy the table anew",
            )
        return keys

    def _with_defaults(self, row: Row) -> Row:
        """What an insert lacks is the column's default, as it was pinned when the table was copied."""
        return tuple([self._default(at) if value is MISSING else value for at, value in enumerate(row)])

    def _default(self, at: int) -> Value:
        if at not in self._defaults:
            column = self.table.columns[at]
            try:
                if column.default is None:
                    raise ValueError("no constant")
                text = column.default.text
                self._defaults[at] = None if text is None else from_default(column, text)
            except ValueError:
                raise NotUnderstood(
                    f"{self.table.name}.{column.name}: an insert in the log lacks the column, and its default is not a "
                    "constant",
                    remedy="SET GLOBAL binlog_row_image = 'FULL' at the source, then copy the table anew",
                ) from None
        return self._defaults[at]


def _filled(row: Row, old: Row) -> Row:
    """What an update did not send is as it was, where the old row says it; else it stays MISSING."""
    return tuple([before if value is MISSING else value for value, before in zip(row, old, strict=True)])


class Relations:
    """The tables of one stream, and those whose rows are coming in the log.

    `folds_names`: the server takes `T` and `t` for one table (`lower_case_table_names`), and a statement in its log has
    the name as it was typed.
    """

    def __init__(
        self, tables: Collection[Followed], flavor: Flavor, version: Version, *, folds_names: bool = False
    ) -> None:
        self._folds_names = folds_names
        self._followed = {
            followed.table.name: followed
            for followed in tables
            if followed.phase != "left" and followed.floor != str(NEVER)
        }
        self._floors = {
            name: BinlogPosition.parse(followed.floor)
            for name, followed in self._followed.items()
            if followed.floor is not None
        }
        self._by_name = {self._same(name): followed for name, followed in self._followed.items()}
        self._mariadb = flavor.gtid_mode is None
        self._wide = flavor.wide_timestamps is not None and version >= flavor.wide_timestamps
        self._plans: dict[bytes, RowPlan | ReplicatorError | None] = {}
        """By the whole TABLE_MAP: how its rows are read, the error that they stop with, or None for rows of others."""
        self._open: dict[int, bytes] = {}
        """The maps of the open statement, by their number."""
        self._covered: dict[Name, bool] = {}

    def _same(self, name: Name) -> Name:
        """One for all names of a table."""
        return Name(name.schema.casefold(), name.name.casefold()) if self._folds_names else name

    def names(self) -> list[tuple[str, str]]:
        """Of the tables whose changes are applied in the open transaction."""
        return [(name.schema, name.name) for name in self._followed if not self._is_covered(name)]

    def begin(self, covers: Covers) -> None:
        """A transaction begins: which copies have it already?"""
        self._covers = covers
        self._covered = {}

    def _is_covered(self, name: Name) -> bool:
        found = self._covered.get(name)
        if found is None:
            floor = self._floors.get(name)
            found = self._covered[name] = floor is not None and self._covers(floor)
        return found

    def open_tables(self) -> tuple[Table, ...]:
        return tuple(f.table for name, f in self._followed.items() if not self._is_covered(name))

    def emptied(self, name: Name) -> Table | None:
        followed = self._by_name.get(self._same(name))
        return None if followed is None or self._is_covered(followed.table.name) else followed.table

    # Maps and rows

    def forget_maps(self) -> None:
        """The numbers of maps hold for one transaction only."""
        self._open = {}

    def announce(self, body: bytes) -> None:
        self._open[int.from_bytes(body[:6], "little")] = body
        if body not in self._plans:
            if len(self._plans) > 4096:
                self._plans.clear()  # each opening of a table gives it another number
            self._plans[body] = self._plan(body)

    def _plan(self, body: bytes) -> RowPlan | ReplicatorError | None:
        head = tablemap.heading(body)
        followed = self._by_name.get(self._same(Name(head.schema, head.name)))
        if followed is None:
            return None
        try:
            shape = tablemap.table_map(body, mariadb=self._mariadb)
            if (words := _difference(shape, followed.table)) is not None:
                return SchemaChanged(
                    f"{followed.table.name}: {words}",
                    remedy=f"copy the table anew: {remedies.recopy(followed.table.name)}",
                )
            return RowPlan(followed, shape, wide_timestamps=self._wide)
        except ReplicatorError as error:
            return error

    def rows(self, kind: int, body: bytes, builder: Builder, where: Where) -> None:
        number = int.from_bytes(body[:6], "little")
        try:
            plan = self._plans[self._open[number]]
        except KeyError:
            raise NotUnderstood(f"a rows event in the log has no table map before it ({where()})") from None
        if plan is None:
            return
        table = plan.table.name if isinstance(plan, RowPlan) else self._name(number)
        if self._is_covered(table):
            return
        if isinstance(plan, ReplicatorError):
            raise type(plan)(f"{plan.what} ({where()})", remedy=plan.remedy)
        if kind == PARTIAL_UPDATE:
            raise NotUnderstood(
                f"{table}: the log has an update of a part of a JSON value ({where()})",
                remedy="SET GLOBAL binlog_row_value_options = '' at the source, for every session; then copy the table "
                f"anew: replicator recopy SOURCE TARGET '{table}'",
            )
        try:
            plan.rows(kind, body, builder)
        except (NotUnderstood, ValueNotHeld) as error:
            raise type(error)(f"{error.what} ({where()})", remedy=error.remedy) from error

    def _name(self, number: int) -> Name:
        head = tablemap.heading(self._open[number])
        return self._by_name[self._same(Name(head.schema, head.name))].table.name


def _difference(shape: TableMap, table: Table) -> str | None:
    """How the log's shape differs from the one that the ledger pinned, in words."""
    came = {column.name: column for column in shape.columns}
    pinned = {column.name: column for column in table.columns}
    words = [f"column {name} was added" for name in came if name not in pinned and name not in table.left_out]
    words += [f"column {name} is gone" for name in pinned if name not in came]
    words += [
        f"column {name} changed its type" for name in pinned if name in came and not fits(came[name], pinned[name])
    ]
    if not words and tuple(name for name in came if name in pinned) != table.names:
        words.append(f"its columns are now in the order {', '.join(came)}")
    return "; ".join(words) or None
