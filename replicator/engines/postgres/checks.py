"""Is this server ready to be followed? Nothing is made here; rights are tried by using them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg2
from psycopg2.extensions import connection as SqlConnection

from replicator import remedies
from replicator.engine import ALREADY_MADE, Endpoint, Finding, Objects
from replicator.engines.postgres import identity, managed, pooler, publication
from replicator.engines.postgres.connect import SESSION, failure, open_session, parameters, query, reason, translated
from replicator.engines.postgres.managed import Service
from replicator.engines.postgres.names import quote, quote_all, quote_table
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import Refused
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed
from replicator.sql.statements import text_literal

OLDEST, NEWEST = 15, 18
_LISTED = """
SELECT p.schemaname, p.tablename, ARRAY(
         SELECT a.attname::text FROM unnest(p.attnames) listed JOIN pg_attribute a ON a.attname = listed
         WHERE a.attrelid = c.oid AND (a.attgenerated = '' OR current_setting('server_version_num')::int >= 180000)),
       p.rowfilter IS NOT NULL
FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = %s
"""
"""Before 18 generated columns are listed, and never sent."""
TRIAL_WAIT_S = 5
_ROOTS = "SELECT oid FROM pg_class WHERE relkind = 'p' AND oid = ANY(%s)"


def findings(
    connection: SqlConnection, where: Endpoint, followed: Sequence[Followed], objects: Objects
) -> list[Finding]:
    tables = [each.table for each in followed]
    service = managed.service(connection)
    found = [*_version(connection), *pooler.at_source(connection, where), *_primary(connection, service)]
    found += _standbys(connection, service)
    if any(finding.level == "refuse" for finding in found):
        return found  # a standby or wal_level=replica would fail everything after it, too
    if objects.slot not in (None, ALREADY_MADE):
        found += _slot(connection, objects)
    found += _replication(connection, where, objects, service)
    found += _readable(connection, where, tables)
    found += _money(where, tables)
    unusable = list(identity.findings(connection, followed))
    found += unusable
    if objects.publication is not None:
        found += _publication(connection, objects.publication, followed)
    elif not any(finding.level == "refuse" for finding in unusable):
        found += _may_publish(connection, followed)
    return found


def copy_findings(connection: SqlConnection, where: Endpoint, tables: Sequence[Table]) -> list[Finding]:
    """What a copy without a log needs."""
    return [*_version(connection), *_readable(connection, where, tables), *_money(where, tables)]


def _version(connection: SqlConnection) -> Iterator[Finding]:
    version = connection.server_version // 10000
    if version < OLDEST:
        yield Finding("refuse", f"the source is PostgreSQL {version}; {OLDEST} or newer is needed", "upgrade it")
    elif version > NEWEST:
        yield Finding("untested", f"unknown version: the source is PostgreSQL {version}")


def _primary(connection: SqlConnection, service: Service) -> Iterator[Finding]:
    if query(connection, "SELECT pg_is_in_recovery()")[0][0]:
        yield Finding(
            "refuse",
            "the source is a standby: a publication and a slot are made on the primary",
            "connect to the primary, or promote this server: SELECT pg_promote()",
        )
    level = query(connection, "SHOW wal_level")[0][0]
    if level != "logical":
        yield Finding(
            "refuse",
            f"wal_level is {level}, and must be logical",
            service.set("wal_level", "logical", restart=True),
        )


def _standbys(connection: SqlConnection, service: Service) -> Iterator[Finding]:
    """A standby that is behind us lacks, once it is promoted, what we have applied."""
    rows = query(
        connection,
        "SELECT slot_name, current_setting('synchronized_standby_slots', true) FROM pg_replication_slots "
        "WHERE slot_type = 'physical' ORDER BY 1",
    )
    listed = {name.strip().strip('"') for name in ((rows[0][1] or "") if rows else "").split(",")} - {""}
    ahead = [name for name, _ in rows if name not in listed]
    if rows and rows[0][1] is None:
        yield Finding(
            "warn",
            f"the server has standbys ({', '.join(ahead)}), and before PostgreSQL 17 no standby has the slot of a "
            "stream: after a failover everything is copied anew",
            "upgrade to PostgreSQL 17 or later",
        )
    elif ahead:
        everyone = ", ".join(sorted({*listed, *ahead}))
        yield Finding(
            "warn",
            f"synchronized_standby_slots does not name {', '.join(ahead)}: a standby that streams by such a slot may "
            "be behind this stream, and once it is promoted the saved position is lost",
            f"{service.set('synchronized_standby_slots', everyone, restart=False)}; and sync_replication_slots = on at "
            "each standby",
        )


def _replication(connection: SqlConnection, where: Endpoint, objects: Objects, service: Service) -> Iterator[Finding]:
    used, most = query(
        connection,
        "SELECT (SELECT count(*) FROM pg_replication_slots), current_setting('max_replication_slots')::int",
    )[0]
    if objects.slot is None and used >= most:
        yield Finding(
            "refuse",
            f"max_replication_slots ({most}) all in use",
            "drop a slot that nobody needs (SELECT * FROM pg_replication_slots); or "
            + service.set("max_replication_slots", str(2 * most), restart=True),
        )
    try:
        WalSender(where).close()
    except Refused as error:
        role = quote(parameters(where).get("user", "the_role"))
        yield Finding(
            "refuse",
            f"no replication connection: {error.what}",
            f"{service.grant.format(role=role)}; and max_wal_senders must leave room, pg_hba.conf must let it in",
        )


def _readable(connection: SqlConnection, where: Endpoint, tables: Sequence[Table]) -> Iterator[Finding]:
    role = quote(parameters(where).get("user", "the_role"))
    closed: dict[str, dict[Name, str]] = {}
    for piece in publication.pieces(tables):
        if _refused(connection, piece) is None:
            continue
        for table in piece:
            if (why := _refused(connection, [table])) is not None:
                closed.setdefault(table.name.schema, {})[table.name] = why
    for schema, reasons in closed.items():
        yield Finding(
            "refuse",
            f"{remedies.named([*reasons])} cannot be read: {next(iter(reasons.values()))}",
            f"GRANT USAGE ON SCHEMA {quote(schema)} TO {role}; GRANT SELECT ON "
            f"{', '.join(map(quote_table, reasons))} TO {role}; with row security: ALTER ROLE {role} BYPASSRLS",
        )


def _refused(connection: SqlConnection, tables: Sequence[Table]) -> str | None:
    """Read nothing from these tables, in one round trip; why that is refused, None where it is not."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("; ".join(f"SELECT {quote_all(t.names)} FROM {quote_table(t.name)} LIMIT 0" for t in tables))
    except psycopg2.Error as error:
        if not (error.pgcode or "").startswith("42"):  # no right, no such table or column, row security
            raise failure(error.pgcode, reason(error)) from error
        return reason(error)
    return None


def _may_publish(connection: SqlConnection, followed: Sequence[Followed]) -> Iterator[Finding]:
    """Make the publication, in pieces, each in a transaction that is rolled back."""
    tables = [each.table for each in followed]
    try:
        for piece in publication.pieces(tables):
            trial = publication.statement("replicator_trial", piece)
            publication.run(connection, trial, piece, wait_s=TRIAL_WAIT_S, keep=False)
    except psycopg2.Error as error:
        if error.pgcode not in ("42501", "25006"):  # no right; or read only, as roles for copies often are
            raise failure(error.pgcode, reason(error)) from error
        wanted = _statement(connection, "my_publication", followed)
        yield Finding(
            "refuse",
            f"this role may not make the publication: {reason(error)}",
            f'let the tables\' owner run: {wanted}; then set publication = "my_publication" in the configuration file',
        )


def _statement(connection: SqlConnection, name: str, followed: Sequence[Followed]) -> str:
    """CREATE PUBLICATION for whoever may. Where it has updates it leaves out the tables whose updates would then fail
    at the source: `_publication` says what becomes of those."""
    if all(each.options.insert_only for each in followed):
        return publication.statement(name, [each.table for each in followed], publication.INSERTS)
    harmed = identity.unusable(connection, followed)
    return publication.statement(name, [each.table for each in followed if each.table.name not in harmed])


def _slot(connection: SqlConnection, objects: Objects) -> Iterator[Finding]:
    """A slot that the user made: can it be read, and from a point where our publication exists?"""
    name = objects.slot
    if objects.publication is None:
        yield Finding(
            "refuse",
            f"the slot {name!r} is given without a publication: one that we make would be newer than the slot, which "
            "could then never be read",
            'make the publication first, then the slot, and set publication = "..." too',
        )
    rows = query(
        connection,
        "SELECT coalesce(plugin, ''), slot_type, database = current_database(), temporary, "
        "wal_status = 'lost' OR restart_lsn IS NULL OR confirmed_flush_lsn IS NULL "
        "FROM pg_replication_slots WHERE slot_name = %s",
        (name,),
    )
    make = f"SELECT pg_create_logical_replication_slot({text_literal(name or '')}, 'pgoutput')"
    if not rows:
        yield Finding("refuse", f"the slot {name!r} does not exist", make)
        return
    plugin, kind, here, temporary, invalid = rows[0]
    if kind != "logical" or plugin != "pgoutput" or not here or temporary:
        yield Finding("refuse", f"the slot {name!r} is not a lasting logical pgoutput slot of this database", make)
    elif invalid:
        drop = f"SELECT pg_drop_replication_slot({text_literal(name or '')})"
        yield Finding("refuse", f"the slot {name!r} was invalidated: its log is gone", f"{drop}; {make}")


def _publication(connection: SqlConnection, name: str, followed: Sequence[Followed]) -> Iterator[Finding]:
    """A publication that the user made: does it carry everything?"""
    tables = [each.table for each in followed]
    needed: set[str] = set().union(*map(publication.needed, followed))
    rows = query(connection, "SELECT pubviaroot FROM pg_publication WHERE pubname = %s", (name,))
    if not rows:
        yield Finding("refuse", f"the publication {name!r} does not exist", _statement(connection, name, followed))
        return
    kinds = publication.published_kinds(connection, [name])[name]
    if missing := needed - kinds:
        # No more than is needed: updates of a table without a key would fail once they are published.
        wanted = ", ".join(kind for kind in publication.ALL.split(", ") if kind in needed | kinds)
        yield Finding(
            "refuse",
            f"the publication {name!r} does not publish {', '.join(sorted(missing))}",
            f"ALTER PUBLICATION {quote(name)} SET (publish = '{wanted}'), or follow the inserts alone: "
            "--insert-only 'schema.table'",
        )
    listed = {
        Name(schema, table): (set(columns or ()), filtered)
        for schema, table, columns, filtered in query(
            connection,
            _LISTED,
            (name,),
        )
    }
    roots = set()
    if not rows[0][0]:
        oids = [int(table.id) for table in tables]
        roots = {str(oid) for (oid,) in query(connection, _ROOTS, (oids,))}
    harmed = set()
    if kinds & {"update", "delete"}:  # where updates are followed, `identity.findings` says the same
        harmed = identity.unusable(connection, [each for each in followed if each.options.insert_only])
    for table in tables:
        if table.name in harmed:
            yield Finding(
                "refuse",
                f"the publication {name!r} publishes updates, and {table.name} has no usable replica identity: its "
                "updates would fail on the source in there",
                f"ALTER TABLE {quote_table(table.name)} REPLICA IDENTITY FULL; or follow its inserts in a stream of "
                "its own (--name), with a publication WITH (publish = 'insert, truncate')",
            )
            continue
        if table.id in roots:
            yield Finding(
                "refuse",
                f"the publication {name!r} publishes the partitions of {table.name}, and not {table.name} itself",
                f"ALTER PUBLICATION {quote(name)} SET (publish_via_partition_root = true)",
            )
            continue
        if table.name not in listed:
            yield Finding(
                "refuse",
                f"table {table.name} is not in publication {name}",
                f"ALTER PUBLICATION {quote(name)} ADD TABLE ONLY {quote_table(table.name)}",
            )
            continue
        yield from _as_published(name, table, *listed[table.name])


def _as_published(name: str, table: Table, columns: set[str], filtered: bool) -> Iterator[Finding]:
    """A table that the publication has: all of its rows and columns, and no others?"""
    if filtered:
        yield Finding(
            "refuse",
            f"the publication {name!r} has a row filter on {table.name}: copy and log would differ",
            f"ALTER PUBLICATION {quote(name)} DROP TABLE {quote_table(table.name)}; "
            f"ALTER PUBLICATION {quote(name)} ADD TABLE ONLY {quote_table(table.name)}",
        )
    missing = [column for column in table.names if column not in columns]
    if missing:
        yield Finding(
            "refuse",
            f"the publication {name!r} leaves out columns of {table.name}: {', '.join(missing)}",
            f"ALTER PUBLICATION {quote(name)} DROP TABLE {quote_table(table.name)}; "
            f"ALTER PUBLICATION {quote(name)} ADD TABLE ONLY {quote_table(table.name)}",
        )
    extra = sorted(columns.difference(table.names))
    if extra:
        yield Finding(
            "refuse",
            f"the publication {name!r} has columns of {table.name} that are not followed: {', '.join(extra)}",
            f"ALTER PUBLICATION {quote(name)} SET (publish_generated_columns = none); or "
            f"ALTER PUBLICATION {quote(name)} DROP TABLE {quote_table(table.name)}; "
            f"ALTER PUBLICATION {quote(name)} ADD TABLE ONLY {quote_table(table.name)} ({quote_all(table.names)})",
        )


def _money(where: Endpoint, tables: Sequence[Table]) -> Iterator[Finding]:
    """`money` is written with two decimals here, so the database's own locale must have two."""
    columns = [
        f"{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if column.native_name in ("money", "money[]")
    ]
    if not columns:
        return
    # Our own sessions set lc_monetary; this one leaves it as the server has it.
    session = {name: value for name, value in SESSION.items() if name != "lc_monetary"}
    with translated():
        connection = open_session(parameters(where, session=session))
    try:
        locale, scale = query(connection, "SELECT current_setting('lc_monetary'), scale(0::money::numeric)")[0]
    finally:
        connection.close()
    if scale != 2:
        yield Finding(
            "refuse",
            f"lc_monetary is {locale}, whose amounts have {scale} decimals, and money is read with 2: {columns[0]}",
            "ALTER TABLE ... ALTER COLUMN ... TYPE numeric",
        )
