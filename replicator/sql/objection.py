"""A target's objection to a row, and the error that a user reads of it."""

from __future__ import annotations

from typing import Literal

from replicator import remedies
from replicator.errors import CannotApply, Conflict
from replicator.model.schema import Table
from replicator.model.stream import Followed

Violation = Literal["unique", "other"]
_WHAT = {
    "insert": "the target already has a row with this key or with another unique value of it",
    "update": "the update found no such row at the target, or another row has its unique value",
    "delete": "the delete found no such row at the target",
}


class Objection(Exception):
    """A constraint of the target objected, or a statement did not hit its one row (`violation` None)."""

    def __init__(self, table: Table, op: str, violation: Violation | None, key: str, reason: str) -> None:
        self.table, self.op, self.violation, self.key, self.reason = table, op, violation, key, reason

    def error(self, followed: Followed, *, overwriting: bool) -> CannotApply:
        """`overwriting`: rows of the batch's tables give way already, and it objects all the same."""
        where = f"{self.table.name} (key {self.key or 'unknown'})"
        if self.violation == "other":
            return CannotApply(
                f"{where}: the target refuses the row: {self.reason}",
                remedy="change the target's constraint, or the row at the source, and start again",
            )
        why, remedy = "somebody else has written to the target", "make the target's row what the source's was"
        if followed.options.insert_only:
            why = "its updates and deletes are not followed (insert_only), so the source may have used the key again"
            remedy = "take the old row out of the target, or follow the table whole"
        if not overwriting:
            section = remedies.section("table_options", self.table.name)
            remedy += f', or let the source decide from now on: {section} on_conflict = "overwrite"'
        anew = f"or copy the table anew: {remedies.recopy(self.table.name)}"
        return Conflict(f"{where}: {_WHAT[self.op]}; {why}", remedy=f"{remedy}, {anew}")
