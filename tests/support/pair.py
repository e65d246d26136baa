"""A PostgreSQL database and its SQLite copy, with the product between them, run as its users run it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support import oracle
from tests.support.databases import PUBLISHER_GRANTS, PostgresDatabase
from tests.support.faults import Running, run_replicator
from tests.support.wait import until

# A publication can only be made by the owner of its tables, which CREATE alone does not give.
HAND_OVER = """
DO $do$ DECLARE r record; BEGIN
  FOR r IN SELECT c.oid::regclass AS t FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%'
             AND n.nspname <> 'information_schema' AND c.relowner <> '{role}'::regrole
  LOOP EXECUTE format('ALTER TABLE %s OWNER TO {role}', r.t); END LOOP;
  FOR r IN SELECT quote_ident(nspname) AS s FROM pg_namespace
           WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
  LOOP EXECUTE format('GRANT USAGE ON SCHEMA %s TO {role}', r.s); END LOOP;
END $do$
"""


class Pair:
    """One source and one target. The product connects with the documented least rights, as the tables' owner,
    unless `url` names another login."""

    def __init__(self, database: PostgresDatabase, path: Path, url: str | None = None, name: str = "default") -> None:
        self.database = database
        self.path = path
        self.name = name
        self._role = None if url else f"{database.name}_sync"
        self.url = url or database.role(self._role, grants=PUBLISHER_GRANTS)
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def target(self) -> str:
        return f"sqlite:///{self.path}"

    def hand_over(self) -> None:
        """Make the product's role the owner of all tables, as the documentation asks for."""
        if self._role is not None:
            self.database.execute(HAND_OVER.replace("{role}", self._role))

    # -- running it --------------------------------------------------------------------------------------

    def sync(
        self,
        *args: str,
        failpoint: str | None = None,
        env: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> Running:
        """Start `sync`; it ends with the pair at the latest."""
        self.hand_over()
        named = () if self.name == "default" else ("--name", self.name)
        running = run_replicator(["sync", source or self.url, self.target, *named, *args], env, failpoint)
        self._running.append(running)
        return running

    def run(self, command: str, *args: str, code: int = 0, failpoint: str | None = None, timeout: float = 120.0) -> str:
        """Run another command on both ends to its end, which must be `code`; return all that it printed."""
        self.hand_over()
        ends = [self.target] if command == "status" else [self.url, self.target]
        named = () if self.name == "default" else ("--name", self.name)
        with run_replicator([command, *ends, *named, *args], None, failpoint) as running:
            self._running.append(running)
            ended = running.wait(timeout)
            output = running.stdout() + running.stderr()
        assert ended == code, f"{command} ended with {ended}, not {code}:\n{output[-4000:]}"
        return output

    def once(
        self,
        *args: str,
        code: int = 0,
        failpoint: str | None = None,
        env: Mapping[str, str] | None = None,
        source: str | None = None,
        timeout: float = 120.0,
    ) -> str:
        """Run `sync --once` to its end, which must be `code`; return all that it printed."""
        running = self.sync("--once", *args, failpoint=failpoint, env=env, source=source)
        with running:
            ended = running.wait(timeout)
            output = running.stdout() + running.stderr()
        assert ended == code, f"ended with {ended}, not {code}:\n{output[-4000:]}"
        return output

    def sync_to_end(self, code: int, *args: str, timeout: float = 60.0) -> str:
        """Run `sync`, which must end by itself with `code`; return all that it printed."""
        with self.sync(*args) as running:
            ended = running.wait(timeout)
            output = running.stdout() + running.stderr()
        assert ended == code, f"ended with {ended}, not {code}:\n{output[-4000:]}"
        return output

    def following(
        self,
        *args: str,
        failpoint: str | None = None,
        env: Mapping[str, str] | None = None,
        source: str | None = None,
    ) -> Running:
        """Start `sync` and wait until the copy is complete and the log is read."""
        running = self.sync(*args, failpoint=failpoint, env=env, source=source)
        running.wait_for_text("following the log from", 120.0)
        return running

    def catch_up(self, running: Running | None = None, timeout: float = 60.0) -> None:
        """Wait until all that is committed now is at the target."""
        ((position,),) = self.database.query("SELECT (pg_logical_emit_message(true, 'test', '') - '0/0')::bigint")

        def reached() -> bool:
            if running is not None and not running.running():
                raise AssertionError(f"the sync has ended with {running.wait(1)}:\n{running.stderr()[-4000:]}")
            mark = self.mark()
            return mark is not None and mark > position

        until(reached, timeout, f"the mark to pass {position:X}", pause=0.01)

    def close(self) -> None:
        for running in self._running:
            running.close()

    # -- looking at it -----------------------------------------------------------------------------------

    def rows(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        """Read the SQLite file, as anybody may while it is written."""
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement, args).fetchall()

    def mark(self) -> int | None:
        """The saved position as a number; None while there is none."""
        try:
            rows = self.rows("SELECT position FROM _replicator_streams WHERE name = ?", self.name)
        except sqlite3.OperationalError:
            return None  # no file or no bookkeeping yet
        return lsn(rows[0][0]) if rows and rows[0][0] else None

    def saved(self) -> list[tuple[Any, ...]]:
        """What must not change when a run is refused: the stream's position."""
        return self.rows("SELECT name, uid, position, phase FROM _replicator_streams ORDER BY name")

    def slots(self) -> list[str]:
        """The lasting slots of this database."""
        found = self.database.query(
            "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary"
        )
        return sorted(name for (name,) in found)

    def publications(self) -> list[str]:
        return sorted(name for (name,) in self.database.query("SELECT pubname FROM pg_publication"))

    def assert_equal(self, tables: Mapping[str, str] | Sequence[str] | None = None) -> None:
        oracle.assert_equal(self.database.url, self.path, tables)

    def assert_nothing_made(self) -> None:
        """Neither end has anything of ours."""
        assert self.slots() == [], "a slot was made"
        assert self.publications() == [], "a publication was made"
        beside = sorted(entry.name for entry in self.path.parent.iterdir()) if self.path.parent.is_dir() else []
        made = [name for name in beside if name.startswith(self.path.name)]
        assert made == [], f"files were made: {made}"


def lsn(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)
