"""Can a table be made at a MySQL or MariaDB target? By its shape, and by what the server is set to.

https://dev.mysql.com/doc/refman/9.7/en/identifiers.html, https://dev.mysql.com/doc/refman/9.7/en/innodb-limits.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.mysql.names import barred, fold
from replicator.engines.mysql.session import TargetSession
from replicator.engines.mysql.storage import KEY_BYTES
from replicator.engines.mysql.targettypes import TargetTypes
from replicator.errors import ReplicatorError
from replicator.model.stream import Followed
from replicator.sql import digest

MOST_COLUMNS = 1017
ROW_BYTES, INLINE_BYTES = 8126, 40
"""InnoDB keeps so much of a row in its page, and of a long value so much beside it at the most."""


def shape(followed: Followed, types: TargetTypes) -> Iterator[Finding]:
    """What no table of these servers can have."""
    table = followed.table
    leave_out = f"--exclude {remedies.shell(table.name)}"
    for column in table.columns:
        if why := barred(column.name):
            yield Finding("refuse", f"{table.name}: the column name {column.name!r} cannot be: {why}", leave_out)
        if column.name.lower() == digest.COLUMN:
            what = f"{table.name}: the column name {digest.COLUMN} is kept for bookkeeping"
            yield Finding("refuse", what, f"rename it at the source, or {leave_out}")
    yield from _twins(followed)
    if len(table.columns) + followed.digested > MOST_COLUMNS:
        what = f"{table.name} has {len(table.columns)} columns; InnoDB holds {MOST_COLUMNS}"
        yield Finding("refuse", what, leave_out)
        return
    try:
        forms = types.forms(followed)
    except ReplicatorError as error:
        yield Finding("refuse", f"{table.name}: {error.what}", error.remedy)
        return
    inline = sum(min(each.width, INLINE_BYTES) if each.key_bytes is not None else INLINE_BYTES for each in forms)
    if inline > ROW_BYTES:
        what = f"{table.name}: its {len(forms)} columns do not fit into a row of InnoDB ({ROW_BYTES} bytes)"
        yield Finding("refuse", what, leave_out)
    if table.key:
        keys = [forms[table.names.index(name)] for name in table.key]
        if any(each.key_bytes is None for each in keys) or sum(each.key_bytes or 0 for each in keys) > KEY_BYTES:
            what = f"{table.name}: no index of the target holds its key ({', '.join(table.key)})"
            yield Finding("refuse", what, leave_out)
    for index in types.uniques(followed)[1]:
        yield Finding(
            "warn",
            f"{table.name}: the unique index on ({', '.join(index.columns)}) is not made: an index there holds "
            f"{KEY_BYTES} bytes, and these columns may be longer",
            "nothing, since the source keeps its values apart; to have it there, shorten the columns at the source",
        )


def _twins(followed: Followed) -> Iterator[Finding]:
    """Columns whose names the server takes for the same."""
    seen: dict[str, str] = {}
    for name in followed.table.names:
        twin = seen.setdefault(fold(name), name)
        if twin != name:
            yield Finding(
                "refuse",
                f"{followed.table.name}: columns {twin!r} and {name!r} are the same name to the target",
                f"rename one of them, or leave the table out: --exclude {remedies.shell(followed.table.name)}",
            )


def server(session: TargetSession, tables: Sequence[Followed]) -> Iterator[Finding]:
    """Settings that tables of a kind do not go with."""
    keyless = [followed for followed in tables if not followed.table.key]
    if keyless and session.setting("sql_require_primary_key"):
        named = ", ".join(str(followed.table.name) for followed in keyless)
        yield Finding(
            "refuse",
            f"sql_require_primary_key is ON at the target, and these tables have no key: {named}",
            f"SET PERSIST sql_require_primary_key = OFF; or --exclude {remedies.shell(keyless[0].table.name)}",
        )
