"""The types that a target has, and with them the storage of each column."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg2.errors

from replicator.engines.postgres import encoders
from replicator.engines.postgres.catalog import types_of
from replicator.engines.postgres.session import TargetSession
from replicator.engines.postgres.storage import Form, Native, by_policy, form, native, precise
from replicator.engines.postgres.types import MONEY, PgType, canonical
from replicator.model.datatypes import Array, DataType, Interval, Textual
from replicator.model.schema import Column
from replicator.model.stream import Followed
from replicator.sql.ddl import Storage

_POSTGIS = """
SELECT quote_ident(n.nspname) || '.geometry' FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis'
"""
MONEYS = (MONEY, f"{MONEY}[]")


class TargetTypes:
    """Asked for a type once; what the target has is not expected to change while a stream is open."""

    def __init__(self, session: TargetSession) -> None:
        self._session = session
        self._found: dict[str, int | None] = {}
        self._types: dict[int, PgType] = {}
        self._geometry: list[str | None] = []
        self._xml: list[bool] = []

    def storage(self, followed: Followed, column: Column) -> Storage:
        return self.form(column, followed.chosen(column.name)).storage()

    def form(self, column: Column, policies: dict[str, str]) -> Form:
        """Raises Refused for a policy that the column's type does not have."""
        chosen = by_policy(column, policies)
        if chosen is not None:
            return chosen
        own = native(column)
        if own is not None and (kept := self._kept(column, own)) is not None:
            return kept
        found = form(column.type, policies, self._built_in, self._postgis())
        # Values of PostgreSQL's own types have the form of their type; of a file's, any.
        return found if own is None or found.type == "bytea" else Form(found.type, found.kind, None, found.labels)

    def _kept(self, column: Column, own: Native) -> Form | None:
        """The column's own type, where the target has it."""
        kind = precise(column.type, own.modifier)
        if own.built_in or column.native_name in MONEYS:
            if _innermost(kind) == Textual("xml") and not self._reads_xml():
                return None
            infinite = _innermost(kind) == Interval() and self._session.version >= 17
            return Form(column.native_name, kind, encoders.finite if infinite else None)
        if _nameless(column.type):
            return None  # whether a composite type of that name has the same attributes, nobody has looked
        oid = self._oid(column.native_name)
        if oid is None or canonical(oid, own.modifier, self.all((oid,))) != column.type:
            return None
        return Form(column.native_name, kind)

    def _built_in(self, name: str) -> bool:
        if name == "xml":
            return self._reads_xml()
        return (self._oid(f'pg_catalog."{name}"') is not None) if name.isidentifier() else False

    def _oid(self, name: str) -> int | None:
        if name not in self._found:
            self._found[name] = self._ask("SELECT to_regtype(%s)::oid", (name,))[0][0]
        return self._found[name]

    def _postgis(self) -> str | None:
        if not self._geometry:
            found = self._ask(_POSTGIS, ())
            self._geometry.append(found[0][0] if found else None)
        return self._geometry[0]

    def _reads_xml(self) -> bool:
        """Not every server is built with libxml: the type is then there, and takes nothing."""
        if not self._xml:
            with self._session.reading():
                self._session.execute("SAVEPOINT trial")
                try:
                    self._session.execute("SELECT '<a/>'::xml")
                    self._xml.append(True)
                except psycopg2.errors.FeatureNotSupported:
                    self._xml.append(False)
                self._session.execute("ROLLBACK TO SAVEPOINT trial")
        return self._xml[0]

    def all(self, oids: Iterable[int]) -> dict[int, PgType]:
        """These types and all that they are made of."""
        missing = set(oids) - set(self._types)
        if missing:
            with self._session.reading():
                self._types |= types_of(self._session.driver, missing)
        return self._types

    def kind(self, oid: int, modifier: int) -> DataType | None:
        """The canonical type of a column that is there."""
        found = canonical(oid, modifier, self.all((oid,)))
        return None if found is None else precise(found, modifier)

    def _ask(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._session.reading():
            found: list[tuple[Any, ...]] = self._session.execute(statement, values).fetchall()
        return found


def _innermost(kind: DataType) -> DataType:
    return _innermost(kind.element) if isinstance(kind, Array) else kind


def _nameless(kind: DataType) -> bool:
    """Is it, or is it made of, a type that only its text tells of?"""
    inner = _innermost(kind)
    return isinstance(inner, Textual) and "." in inner.name
