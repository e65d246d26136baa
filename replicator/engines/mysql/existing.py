"""Can a table that we did not make hold the rows without changing them, and does nothing else happen with them?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.mysql import ownforms, triggers
from replicator.engines.mysql.names import quote, quote_all
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.targettypes import TargetTypes
from replicator.engines.mysql.types import canonical, declared, native_charset, native_type
from replicator.errors import ReplicatorError
from replicator.model.datatypes import Bytes, DataType, Enum, Float, LabelSet, Text, Uuid
from replicator.model.schema import Column
from replicator.model.stream import Followed
from replicator.sql import existing
from replicator.sql.existing import ANEW, ExistingColumn, Problem
from replicator.sql.wider import holds

_TABLE = """
SELECT TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s
"""
_COLUMNS = """
SELECT COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION
"""
_KEYS = """
SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX
"""
_CHANGING = frozenset(("char", "binary", "year"))
"""Types that cut spaces, add zeros and make 2005 of 5."""


@dataclass(frozen=True)
class There(ExistingColumn):
    charset: str | None
    collation: str | None

    @property
    def exact(self) -> bool:
        """Are only texts of the same bytes equal to it? To most that end in `_bin`, spaces at the end are nothing."""
        return self.collation in (None, "binary", "utf8mb4_0900_bin") or self._ends_with("_nopad_bin")

    @property
    def exact_but_for_spaces(self) -> bool:
        return self.exact or self._ends_with("_bin")

    def _ends_with(self, what: str) -> bool:
        return self.collation is not None and self.collation.endswith(what)


def findings(session: TargetSession, types: TargetTypes, followed: Followed, *, ours: bool) -> Iterator[Finding]:
    """`ours`: we made the table, so its columns are right; what somebody added to it is looked at all the same."""
    own = followed.target.name
    rows = session.execute(_TABLE, (own,)).fetchall()
    if not rows:
        return
    problems = [*_usable(session, followed, *rows[0], ours=ours)]
    if not problems and not ours:
        columns = [_there(*row) for row in session.execute(_COLUMNS, (own,)).fetchall()]
        problems += existing.problems(followed, columns, partial(_fits, types, followed))
        problems += _found_by(session, followed, columns)
    for what, remedy in problems:
        yield Finding("refuse", f"target table {own}: {what}", remedy)


def _there(
    name: str,
    kind: str,
    charset: str | None,
    collation: str | None,
    nullable: str,
    default: str | None,
    extra: str,
) -> There:
    generated = "GENERATED" in extra.replace("DEFAULT_GENERATED", "")
    filled = default is not None or nullable == "YES" or "auto_increment" in extra
    return There(name, kind, nullable == "NO", filled, generated, charset, collation)


def _usable(
    session: TargetSession, followed: Followed, kind: str, engine: str | None, *, ours: bool
) -> Iterator[Problem]:
    name = quote(followed.target.name)
    if kind != "BASE TABLE":
        other = f"drop it, or --map {remedies.shell(f'{followed.table.name}=other_name')}"
        yield f"it is a {kind.lower()}, not a plain table", other
        return
    if engine != "InnoDB":
        yield f"it is stored by {engine}, which has no transactions", f"ALTER TABLE {name} ENGINE = InnoDB"
    yield from triggers.problems(session, followed, ours=ours)


def _fits(types: TargetTypes, followed: Followed, column: Column, there: There) -> Iterator[Problem]:
    try:
        form = types.form(followed, column)
    except ReplicatorError:
        return  # said already
    asis = {form.type.partition(" CHARACTER SET")[0]}
    if ownforms.own(column) and not followed.chosen(column.name):
        asis.add(native_type(column.native))
    kind = canonical(there.type)
    if kind is None or not _characters(kind, there, column):
        taken = False
    else:
        taken = there.type in asis or _takes(kind, form.kind, there)
    if not taken:
        yield (
            f"column {column.name} is {there.type}{f' ({there.charset})' if there.charset else ''}, which cannot hold "
            f"every value of {form.type} as it is",
            f"ALTER TABLE {quote(followed.target.name)} MODIFY {quote(column.name)} {form.type}; or {ANEW}",
        )


def _characters(kind: DataType, there: There, column: Column) -> bool:
    """Does its character set have all that may come?"""
    if not isinstance(kind, Text | Enum | LabelSet) or there.charset == "utf8mb4":
        return True
    if there.charset == "ascii":
        return isinstance(column.type, Uuid) or _charset(column) == "ascii"
    return there.charset is not None and there.charset == _charset(column)


def _charset(column: Column) -> str | None:
    charset = native_charset(column.native) if ownforms.own(column) else None
    return {"utf8": "utf8mb3"}.get(charset or "", charset)


def _takes(kind: DataType, here: DataType, there: There) -> bool:
    """Is it wide enough, and changes nothing? Which a column of the very type need not be asked."""
    found = declared(there.type)
    if found.word in _CHANGING or (isinstance(kind, Float) and found.inside):
        return False
    if isinstance(kind, Text) and isinstance(here, Text) and kind.length is None:
        return _blob_bytes(there.type) >= 4 * (here.length or 1 << 30)
    if isinstance(kind, Bytes) and isinstance(here, Bytes):
        return found.word == "longblob"
    return holds(kind, here)


def _blob_bytes(kind: str) -> int:
    return {"tinytext": 1 << 8, "text": 1 << 16, "mediumtext": 1 << 24, "longtext": 1 << 32}.get(kind, 0)


def _found_by(session: TargetSession, followed: Followed, columns: list[There]) -> Iterator[Problem]:
    """Is a row found by its key through an index, and are only equal bytes equal to its keys?"""
    table = followed.table
    parts: dict[str, list[tuple[str | None, int | None]]] = {}
    for index, column, prefix in session.execute(_KEYS, (followed.target.name,)).fetchall():
        parts.setdefault(index, []).append((column, prefix))
    whole = [{name for name, _ in of} for of in parts.values() if all(prefix is None for _, prefix in of)]
    if table.key and set(table.key) not in whole:
        yield (
            f"it has no primary key or unique index on ({', '.join(table.key)})",
            f"CREATE UNIQUE INDEX {quote(followed.target.name[:50] + '_key')} ON {quote(followed.target.name)} "
            f"({quote_all(table.key)})",
        )
    unique = {name for of in parts.values() for name, _ in of}
    sources = {column.name: column for column in table.columns}
    for there in columns:
        if (source := sources.get(there.name)) and there.name in {*table.key, *unique} and not there.exact:
            if there.collation == source.collation:
                continue  # what is equal here was equal at the source
            if there.exact_but_for_spaces and not isinstance(source.type, Text):
                continue
            yield (
                f"column {there.name} has the collation {there.collation}, and is in a key or unique index: texts that "
                "differ would be taken for the same",
                f"give it the collation {session.flavor.exact_collation}, or {ANEW}",
            )
