"""Both ends together: which rows, columns and storage classes differ, in words that a person can use."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support.oracle import postgres, sqlite

SHOWN = 20
LONGEST = 80
Tables = Mapping[str, str] | Sequence[str]


def tables(pg_url: str, schema: str = "public") -> list[str]:
    """The tables of a schema, as `schema.table`; a partitioned table is one, its partitions are none."""
    found = postgres.psql(
        pg_url,
        f"""SELECT encode(convert_to(c.relname, 'UTF8'), 'hex')
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = {postgres.literal(schema)}
            ORDER BY c.relname COLLATE "C";""",
    )
    return [f"{schema}.{bytes.fromhex(line).decode()}" for line in found.split()]


def landing(table: str) -> str:
    """Where the product puts a source table: the default schema's under its own name, others with theirs."""
    schema, name = _split(table)
    return name if schema == "public" else f"{schema}__{name}"


def dump_postgres(
    url: str, table: str, columns: Sequence[str] | None = None, order_by: Sequence[str] | None = None
) -> list[str]:
    """The rows of a table as canonical lines; without `columns` all that the log carries."""
    read = postgres.Table(url, *_split(table))
    return read.dump(columns or _carried(read), order_by or ())


def dump_sqlite(
    path: Path | str, table: str, columns: Sequence[str] | None = None, order_by: Sequence[str] | None = None
) -> list[str]:
    """The rows of a table as canonical lines."""
    read = sqlite.Table(path, table)
    return read.dump(columns or read.columns, order_by or ())


def differences(pg_url: str, sqlite_path: Path | str, wanted: Tables | None = None) -> list[str]:
    """What differs, one text per table that differs. Rows are compared as multisets: duplicates count."""
    found = []
    for table, copy in _pairs(pg_url, wanted):
        source = postgres.Table(pg_url, *_split(table))
        columns = _carried(source)
        try:
            target = sqlite.Table(sqlite_path, copy)
            held = set(target.columns)
        except LookupError as error:
            found.append(f"{table}: {error}")
            continue
        lost = [name for name in columns if name not in held]
        foreign = sorted(held.difference(column.name for column in source.columns))
        if lost or foreign:
            found.append(f"{table}: columns missing in SQLite: {lost}; columns that it has beyond: {foreign}")
            continue
        ours, theirs = Counter(source.dump(columns)), Counter(target.dump(columns))
        if ours != theirs:
            found.append(_diff(table, columns, ours, theirs))
        found += _storage(source, target, columns)
    return found


def assert_equal(pg_url: str, sqlite_path: Path | str, wanted: Tables | None = None) -> None:
    """Every row of these tables (without a list: of all of schema public) is in SQLite, once, with the same
    values in the right storage classes, and nothing else is."""
    found = differences(pg_url, sqlite_path, wanted)
    if found:
        raise AssertionError("PostgreSQL and SQLite differ\n" + "\n".join(found))


def assert_storage(pg_url: str, sqlite_path: Path | str, wanted: Tables | None = None) -> None:
    """Every value is in the storage class that its source type is to have."""
    found = []
    for table, copy in _pairs(pg_url, wanted):
        source = postgres.Table(pg_url, *_split(table))
        found += _storage(source, sqlite.Table(sqlite_path, copy), _carried(source))
    if found:
        raise AssertionError("SQLite holds values in wrong storage classes\n" + "\n".join(found))


def _pairs(pg_url: str, wanted: Tables | None) -> Iterable[tuple[str, str]]:
    if isinstance(wanted, Mapping):
        return wanted.items()
    return [(table, landing(table)) for table in (tables(pg_url) if wanted is None else wanted)]


def _split(table: str) -> tuple[str, str]:
    schema, dot, name = table.partition(".")
    return (schema, name) if dot else ("public", schema)


def _carried(table: postgres.Table) -> list[str]:
    """The columns that must arrive: the log does not carry generated ones."""
    return [column.name for column in table.columns if not column.generated]


def _storage(source: postgres.Table, target: sqlite.Table, columns: Sequence[str]) -> list[str]:
    wrong: Counter[tuple[str, str, str]] = Counter()
    expected = [source.column(name).type.storage for name in columns]
    for cells in target.cells(columns):
        for name, storage, cell in zip(columns, expected, cells, strict=True):
            found = sqlite.CLASSES[cell[0]]
            if found not in ("null", storage):
                wrong[name, found, storage] += 1
    return [
        f"{target.name}.{name}: {count} values are stored as {found}, not as {storage}"
        for (name, found, storage), count in wrong.items()
    ]


def _diff(table: str, columns: Sequence[str], ours: Counter[str], theirs: Counter[str]) -> str:
    missing, extra = ours - theirs, theirs - ours
    head = (
        f"{table}: {ours.total()} rows in PostgreSQL, {theirs.total()} in SQLite;"
        f" {missing.total()} missing or different (-), {extra.total()} extra or different (+)"
    )
    marked = [(line, "-", count) for line, count in missing.items()]
    marked += [(line, "+", count) for line, count in extra.items()]
    marked.sort()
    lines = [f"  {sign} {_short(line)}" + (f"  ({count} times)" if count > 1 else "") for line, sign, count in marked]
    rest = [f"  ... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n".join([head, "    " + "\t".join(columns), *lines[:SHOWN], *rest])


def _short(line: str) -> str:
    """A long value is cut, and tells by its digest that it differs."""
    fields = line.split("\t")
    for at, field in enumerate(fields):
        if len(field) > LONGEST:
            digest = hashlib.sha256(field.encode("utf-8", "surrogateescape")).hexdigest()[:8]
            fields[at] = f"{field[: LONGEST // 2]}...({len(field)} characters, digest {digest})"
    return "\t".join(fields)
