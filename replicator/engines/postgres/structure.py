"""The tables of a PostgreSQL target: what is there, and what we make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

from replicator.engine import Finding
from replicator.engines.postgres import copytext, existing, landing
from replicator.engines.postgres.names import quote, quote_table
from replicator.engines.postgres.session import TargetSession
from replicator.engines.postgres.statements import DIALECT
from replicator.engines.postgres.storage import native
from replicator.engines.postgres.targettypes import MONEYS, TargetTypes
from replicator.model.schema import Name
from replicator.model.stream import Followed
from replicator.model.values import Row
from replicator.sql import digest
from replicator.sql.ddl import Ddl
from replicator.sql.ledger import SqlLedger
from replicator.sql.plan import Plan
from replicator.sql.statements import text_literal

AT_ONCE = 100
"""A transaction locks every table that it makes, and all sessions share the room for locks."""
_THERE = """
SELECT n.nspname, c.relname, obj_description(c.oid, 'pg_class'),
       has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(%s::text[], %s::text[]) w (schema, name) ON w.schema = n.nspname AND w.name = c.relname
"""


@dataclass(frozen=True)
class _Table:
    """`readable`: by this role, every row. What cannot be read may have rows."""

    comment: str | None
    readable: bool


Standing = Literal["absent", "empty", "filled"]


class PostgresStructure:
    def __init__(self, session: TargetSession, ledger: SqlLedger, types: TargetTypes) -> None:
        self._session = session
        self._ledger = ledger
        self._types = types
        self._ddl = Ddl(DIALECT, types.storage, "bytea")

    def findings(self, tables: Sequence[Followed], known: Mapping[Name, Followed]) -> list[Finding]:
        with self._session.reading():
            there = self._there(tables)
            found: list[Finding] = []
            for followed in tables:
                found += landing.shape(followed, self._types)
                mine = known.get(followed.table.name)
                if followed.target in there:
                    ours = mine is not None and mine.made
                    found += existing.findings(self._session, self._types, followed, ours=ours)
        absent = {followed.target.schema for followed in tables if followed.target not in there}
        return [*found, *landing.schemas(self._session, absent)]

    def _there(self, tables: Sequence[Followed]) -> dict[Name, _Table]:
        """What has the name of a target table."""
        schemas = [followed.target.schema for followed in tables]
        names = [followed.target.name for followed in tables]
        found = self._session.execute(_THERE, (schemas, names)).fetchall()
        return {Name(schema, name): _Table(*rest) for schema, name, *rest in found}

    def survey(self, tables: Sequence[Followed]) -> dict[Name, Standing]:
        found: dict[Name, Standing] = {}
        for some in _groups(tables):
            with self._session.reading():
                there = self._there(some)
                for followed in some:
                    if followed.target not in there:
                        found[followed.table.name] = "absent"
                        continue
                    if not there[followed.target].readable:
                        found[followed.table.name] = "filled"
                        continue
                    row = self._run(DIALECT.any_row(followed.target)).fetchone()
                    found[followed.table.name] = "empty" if row is None else "filled"
        return found

    def create(self, tables: Sequence[Followed], remake: Collection[Name]) -> None:
        """The text that a table was made by is known by its comment: after a crash between the ledger's record and
        the table only the server knows what stands there."""
        remade = set(remake)
        for some in _groups(tables):
            with self._session.transaction():
                self._ledger.lock(None)
                there = self._there(some)
                for schema in sorted({followed.target.schema for followed in some} - self._schemas()):
                    self._run(f"CREATE SCHEMA {quote(schema)}")
                for followed in some:
                    self._make(followed, there, followed.table.name in remade)

    def _make(self, followed: Followed, there: Mapping[Name, _Table], remake: bool) -> None:
        statement = self._ddl.create(followed)
        comment = f"made by replicator: {_short(statement)}"
        stands = followed.target in there
        if stands and followed.made and (remake or there[followed.target].comment != comment):
            self._run(DIALECT.drop(followed.target))
            stands = False
        if not stands:
            self._run(statement)
            self._run(f"COMMENT ON TABLE {quote_table(followed.target)} IS {text_literal(comment)}")

    def _schemas(self) -> set[str]:
        return {name for (name,) in self._run("SELECT nspname FROM pg_namespace").fetchall()}

    def drop(self, tables: Sequence[Followed]) -> None:
        for some in _groups(tables):
            with self._session.transaction():
                self._ledger.lock(None)
                for followed in some:
                    if followed.made:
                        self._run(DIALECT.drop(followed.target))

    def finish(self, tables: Sequence[Followed]) -> None:
        for some in _groups(tables):
            with self._session.transaction():
                self._ledger.lock(None)
                there = self._indexed(some)
                for followed in some:
                    if not followed.made:
                        continue
                    for name, statement in self._indexes(followed):
                        if (followed.target.schema, name) not in there:
                            there.add((followed.target.schema, name))
                            self._run(statement)

    def _indexed(self, tables: Sequence[Followed]) -> set[tuple[str, str]]:
        found = self._session.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'i' AND n.nspname = ANY(%s)",
            (list({followed.target.schema for followed in tables}),),
        )
        return {(schema, name) for schema, name in found.fetchall()}

    def _indexes(self, followed: Followed) -> Iterator[tuple[str, str]]:
        """Named by what they are on, under our own prefix: names are one space with the tables'."""
        # Of an insert-only table no delete comes, so a value that the source frees and uses again would be there twice.
        for index in () if followed.options.insert_only else followed.table.uniques:
            name = _index_name(followed, index.columns)
            yield name, self._ddl.unique_index(followed.target, name, index.columns)
        if followed.digested:
            name = _index_name(followed, (digest.COLUMN,))
            yield name, self._ddl.digest_index(followed.target, name)

    def unheld(self, followed: Followed, rows: list[Row]) -> list[str]:
        return Plan(followed.table, followed, DIALECT, self._types.storage).unheld(rows)

    def formats(self, followed: Followed) -> Collection[str]:
        """COPY's text passes where each column keeps its own type, and its values come as the type writes them."""
        forms = [self._types.form(column, followed.chosen(column.name)) for column in followed.table.columns]
        pairs = zip(forms, followed.table.columns, strict=True)
        as_it_is = all(form.encode is None and form.type == column.native_name for form, column in pairs)
        own = all(native(column) is not None and column.native_name not in MONEYS for column in followed.table.columns)
        return (copytext.FORMAT,) if as_it_is and own and not followed.digested else ()

    def stored(self, followed: Followed) -> tuple[str, ...]:
        return tuple(self._types.storage(followed, column).type for column in followed.table.columns)

    def _run(self, statement: str) -> Any:
        cursor = self._session.driver.cursor()
        cursor.execute(statement)
        return cursor


def _groups(tables: Sequence[Followed]) -> Iterator[Sequence[Followed]]:
    return (tables[at : at + AT_ONCE] for at in range(0, len(tables), AT_ONCE))


def _index_name(followed: Followed, columns: Sequence[str]) -> str:
    return "_replicator_" + _short("\0".join((*followed.target, *columns)))


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=12).hexdigest()
