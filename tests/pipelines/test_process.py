"""Our own process: frozen for long, without a home, on a full disk."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.databases import PostgresDatabase
from tests.support.faults import OWN_PROCESS, ROOT, frozen, run_program
from tests.support.mysql_pair import MysqlPair
from tests.support.pair import Pair
from tests.support.servers import private_postgres

TALLY = "CREATE TABLE t (v int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (0)"


def test_s007_a_process_that_stands_still_goes_on(tmp_path: Path) -> None:
    """For longer than the source's patience: it connects again, and nothing comes twice."""
    with (
        private_postgres(18, {"wal_sender_timeout": "3s"}) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as pair,
    ):
        database.execute(TALLY)
        running = pair.following()
        for number in range(2):
            with frozen(running.pid):
                database.execute("INSERT INTO t SELECT %s FROM generate_series(1, 500)", number)
                time.sleep(8)
            database.execute("INSERT INTO t VALUES (%s)", -number)
            pair.catch_up(running)
            pair.assert_equal()
        assert "trying again" in running.stderr()


def test_s007_a_process_that_reads_mysql_stands_still(mysql_to_file: MysqlPair) -> None:
    """The server waits for an hour: the limit is one of our session."""
    pair = mysql_to_file
    pair.source.execute("CREATE TABLE marker (id int PRIMARY KEY)", "CREATE TABLE t (v varchar(2000))")
    many = f"INSERT INTO t VALUES {', '.join(2000 * ['(@wide)'])}"
    pair.source.execute("SET @wide = REPEAT('A', 2000)")
    ((before,),) = pair.source.query("SELECT @@global.net_write_timeout")
    pair.source.execute("SET GLOBAL net_write_timeout = 2")
    try:
        running = pair.following()
        with frozen(running.pid):
            for _ in range(8):
                pair.source.execute(many)
            time.sleep(5)
        pair.catch_up(running)
        pair.assert_equal()
        assert "trying again" not in running.stderr()
    finally:
        pair.source.execute(f"SET GLOBAL net_write_timeout = {before}")


def test_s014_without_a_home_and_with_nothing_to_write_to_but_the_target(pair18: Pair) -> None:
    pair = pair18
    pair.database.execute(TALLY)
    missing = pair.path.parent / "missing"
    for home in ("/proc/nowhere", str(missing)):
        pair.once(env={"HOME": home, **OWN_PROCESS, "TMPDIR": str(missing)})
    pair.assert_equal()
    file = pair.path.parent / "settings.toml"
    output = pair.once("--config", str(file), code=2)
    assert f"the configuration file {file} cannot be read" in output
    pair.path.parent.joinpath("directory").mkdir()
    assert "cannot be read" in pair.once("--config", str(pair.path.parent / "directory"), code=2)


FULL = """
set -e
mount -t tmpfs -o size=3m,mode=700 tmpfs {directory}
head -c 2200000 /dev/zero > {directory}/ballast
{sync} 2> {said} &
until grep -q 'out of space' {said}; do sleep 0.1; kill -0 $!; done
ls -l {directory} >> {said}
rm {directory}/ballast
wait $!
cp {directory}/copy.db* {kept}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_s015_s070_the_disk_of_the_file_is_full_and_has_room_again(pair18: Pair, tmp_path: Path) -> None:
    """The disk is in a mount namespace of the process's own."""
    pair = pair18
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    pair.database.execute("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 1500) n")
    pair.hand_over()
    directory, kept, said = (tmp_path / name for name in ("disk", "kept", "said"))
    directory.mkdir()
    kept.mkdir()
    target = f"sqlite:///{directory / 'copy.db'}"
    sync = shlex.join([sys.executable, "-m", "replicator", "sync", "--once", pair.url, target])
    script = FULL.format(directory=directory, sync=sync, said=said, kept=kept)
    env = {"PYTHONPATH": str(ROOT)}
    with run_program(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], env) as running:
        assert running.wait(120) == 0, running.stderr() + said.read_text()
    assert "target out of space (SQLITE_FULL)" in said.read_text()
    oracle.assert_equal(pair.database.url, kept / "copy.db")
