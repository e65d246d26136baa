"""What a RELATION message means for the tables that we follow.

The stream alone says what shape a row has. The ledger says what shape we agreed to; where the two differ, the first
change that would be applied stops the stream.
"""

from __future__ import annotations

from collections.abc import Collection

from replicator import remedies
from replicator.engines.postgres.pgoutput import Relation
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.types import FromBytes, from_bytes
from replicator.errors import ReplicatorError, SchemaChanged
from replicator.model.position import NEVER
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed


class RowPlan:
    """How the rows of one relation are read: resolved once, when its RELATION comes."""

    __slots__ = ("convert", "insert_only", "key_at", "table")

    def __init__(self, table: Table, *, insert_only: bool) -> None:
        # Our own publication has no updates of such a table; the user's may have.
        self.insert_only = insert_only
        self.table = table
        self.key_at = table.key_at
        self.convert: list[FromBytes] = [from_bytes(column) for column in table.columns]


class Relations:
    """The relations of one stream, by OID."""

    def __init__(self, tables: Collection[Followed]) -> None:
        self._by_name = {followed.table.name: followed for followed in tables}
        self._by_oid = {followed.table.id: followed for followed in tables}
        self.plans: dict[int, RowPlan | ReplicatorError | None] = {}
        """What to do with a relation's rows: read them, stop with this error, or pass them over."""
        self.floors: dict[int, int] = {}

    def announce(self, relation: Relation) -> None:
        name = Name(relation.schema, relation.name)
        followed = self._by_name.get(name) or self._by_oid.get(str(relation.oid))
        if followed is None or followed.floor == str(NEVER) or followed.phase == "left":
            self.plans[relation.oid] = None
            return
        floor = Lsn.parse(followed.floor or "0/0").value
        self.floors[relation.oid] = floor
        problem = _difference(followed, relation)
        if problem is not None:
            self.plans[relation.oid] = SchemaChanged(
                f"{followed.table.name}: {problem}",
                remedy=f"copy the table anew: {remedies.recopy(followed.table.name)}",
            )
            return
        self.plans[relation.oid] = RowPlan(followed.table, insert_only=followed.options.insert_only)


def _difference(followed: Followed, relation: Relation) -> str | None:
    """How the stream's shape differs from the one that the ledger pinned, in words."""
    table = followed.table
    name = Name(relation.schema, relation.name)
    if (name, str(relation.oid)) != (table.name, table.id):
        return (
            f"the log has table {name} with OID {relation.oid} in its place (ours has OID {table.id}): "
            "it was renamed, or dropped and made again"
        )
    came = {column.name: f"{column.type_oid}:{column.modifier}" for column in relation.columns}
    pinned = {column.name: column.native for column in table.columns}
    words = [f"column {column} was added" for column in came if column not in pinned]
    words += [f"column {column} is gone" for column in pinned if column not in came]
    words += [f"column {c} changed its type" for c in came if c in pinned and came[c] != pinned[c]]
    if not words and tuple(came) != table.names:
        # PostgreSQL never moves a column: another order means that one was dropped and added again, or that columns
        # took one another's names.
        words.append(f"its columns are now in the order {', '.join(came)}")
    if followed.options.insert_only:
        return "; ".join(words) or None
    if not words and relation.identity == "n":
        words.append("its replica identity is now NOTHING")
    if not words and relation.identity in "di":
        key = {column.name for column in relation.columns if column.key}
        if key != set(table.key):
            shown = ", ".join(sorted(key)) or "nothing"
            words.append(f"its replica identity is now ({shown}), and was ({', '.join(table.key) or 'the whole row'})")
    return "; ".join(words) or None
