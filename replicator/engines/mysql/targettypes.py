"""The forms of a table's columns at a MySQL or MariaDB target: by the server, the key, and the room in a row."""

from __future__ import annotations

from collections.abc import Sequence

from replicator.engines.mysql import ownforms
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.storage import KEY_BYTES, Dialect, Form, check_policies, form
from replicator.model.schema import Column, UniqueIndex
from replicator.model.stream import Followed
from replicator.sql.ddl import Storage

ROW_BYTES = 65_000
"""Of the 65,535 that a row has, some are for NULLs and lengths
(https://dev.mysql.com/doc/refman/9.7/en/column-count-limit.html)."""


class TargetTypes:
    def __init__(self, session: TargetSession) -> None:
        self._session = session
        self._forms: dict[int, tuple[Followed, tuple[Form, ...]]] = {}
        self._collations: frozenset[str] | None = None

    @property
    def dialect(self) -> Dialect:
        return Dialect(self._session.flavor, self._session.version)

    def storage(self, followed: Followed, column: Column) -> Storage:
        return self.form(followed, column).storage()

    def form(self, followed: Followed, column: Column) -> Form:
        """Raises Refused for a policy that the column's type does not have."""
        return self.forms(followed)[followed.table.names.index(column.name)]

    def forms(self, followed: Followed) -> tuple[Form, ...]:
        """One for each column. Fixed by the table's shape and its policies: never by what is in it."""
        known = self._forms.get(id(followed))
        if known is not None and known[0] is followed:
            return known[1]
        found = self._within_a_row([self._form(followed, column) for column in followed.table.columns])
        self._forms[id(followed)] = followed, found
        return found

    def _form(self, followed: Followed, column: Column) -> Form:
        table, policies = followed.table, followed.chosen(column.name)
        check_policies(column, policies)
        most = KEY_BYTES // len(table.key) if column.name in table.key else None
        own = ownforms.own(column)
        if own is not None and not policies:
            kept = ownforms.form(column, own, self.dialect, self.collations)
            if kept is not None and (most is None or kept.key_bytes is not None):
                return kept
        return form(column.type, policies, self.dialect, most)

    @staticmethod
    def _within_a_row(forms: Sequence[Form]) -> tuple[Form, ...]:
        """Where the columns do not fit into a row together, the widest are kept as TEXT, until they do."""
        found = list(forms)
        while sum(each.width for each in found) > ROW_BYTES:
            widest = max(
                (n for n, each in enumerate(found) if each.shorter), key=lambda n: found[n].width, default=None
            )
            if widest is None:
                break
            shorter = found[widest].shorter
            assert shorter is not None
            found[widest] = shorter()
        return tuple(found)

    @property
    def collations(self) -> frozenset[str]:
        if self._collations is None:
            with self._session.reading():
                rows = self._session.execute("SELECT COLLATION_NAME FROM information_schema.COLLATIONS").fetchall()
            self._collations = frozenset(str(name) for (name,) in rows)
        return self._collations

    def uniques(self, followed: Followed) -> tuple[list[UniqueIndex], list[UniqueIndex]]:
        """The unique indexes to make, and those that no index of this server can be."""
        forms = dict(zip(followed.table.names, self.forms(followed), strict=True))
        fits: list[UniqueIndex] = []
        others: list[UniqueIndex] = []
        for index in followed.table.uniques:
            sizes = [forms[name].key_bytes for name in index.columns]
            whole = all(size is not None for size in sizes) and sum(size or 0 for size in sizes) <= KEY_BYTES
            (fits if whole else others).append(index)
        return fits, others
