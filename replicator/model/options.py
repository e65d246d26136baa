"""What the user asked for single tables."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from replicator.model.schema import Name
from replicator.model.selection import matches, qualify


@dataclass(frozen=True)
class TableOptions:
    """How one table is followed.

    `insert_only`: its updates and deletes at the source are not followed, so it needs no key. `digest_column`: its
    target table gets an indexed digest of each row, by which a row of a table without a key is found without reading
    them all. `allow_triggers`: triggers of its target table may fire, where no session can switch them off.
    `on_conflict`: where a row at the target is not what the log takes it for, the stream stops, or the row is
    overwritten with the source's.
    """

    insert_only: bool = False
    digest_column: bool = False
    allow_triggers: bool = False
    on_conflict: Literal["stop", "overwrite"] = "stop"

    @property
    def of_the_copy(self) -> TableOptions:
        """What a copy was made by: another choice of it asks for another copy, and one of the rest does not."""
        return TableOptions(self.insert_only, self.digest_column)


@dataclass(frozen=True)
class Wishes:
    """`by_table`: options by `schema.table`. `insert_only`: patterns as in a selection."""

    by_table: Mapping[str, TableOptions] = field(default_factory=dict)
    insert_only: tuple[str, ...] = ()

    def of(self, name: Name, default_schema: str) -> TableOptions:
        named = {qualify(key, default_schema): options for key, options in self.by_table.items()}
        found = named.get(str(name), TableOptions())
        if matches(self.insert_only, name, default_schema):
            return replace(found, insert_only=True)
        return found

    def idle(self, names: Collection[Name], default_schema: str) -> list[str]:
        """Names and patterns that fit no table: a slip of the pen would otherwise change nothing, and be believed."""
        followed = {str(name) for name in names}
        unknown = [key for key in self.by_table if qualify(key, default_schema) not in followed]
        return unknown + [p for p in self.insert_only if not any(matches((p,), n, default_schema) for n in names)]
