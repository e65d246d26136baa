"""Secrets stay secret, the documented roles are enough, and names stay names."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.support import oracle
from tests.support.databases import NASTY, PUBLISHER_GRANTS, SOURCE_GRANTS
from tests.support.faults import run_replicator
from tests.support.pair import Pair

NAMES = [
    'a"b',
    "a'b",
    "a`b",
    "a;b",
    "a\nb",
    "a\tb",
    "%s",
    "%(x)s",
    "100%",
    "a b",
    "select",
    "Mixed",
    "1st",
    "emoji 🐘",
    "ünï",
    "a.b",
    "a\\b",
    "{column}",
    ":name",
    "?",
    'a"; DROP TABLE x; --',
    "x" * 63,
]
ENUM = 'enum "%s" of it'


def without_password(url: str) -> str:
    return make_url(url)._replace(password=None).render_as_string(hide_password=False)


def artefacts(pair: Pair, running_output: str) -> bytes:
    """Everything that a run leaves behind."""
    files = [entry.read_bytes() for entry in pair.path.parent.iterdir() if entry.name.startswith(pair.path.name)]
    return running_output.encode() + b"".join(files)


@pytest.mark.parametrize("way", ["url", "environment", "file", "config"])
def test_the_password_is_never_shown(pair18: Pair, tmp_path: Path, way: str) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair18.hand_over()
    bare = without_password(pair18.url)
    password = str(make_url(pair18.url).password)
    assert password.startswith(NASTY)
    secret = tmp_path / "secret"
    secret.write_text(password + "\n")
    secret.chmod(0o600)
    env: dict[str, str] = {}
    arguments = ["sync", "--once", "-v", bare, pair18.target]
    if way == "url":
        arguments = ["sync", "--once", "-v", pair18.url, pair18.target]
    elif way == "environment":
        env = {"REPLICATOR_SOURCE_PASSWORD": password}
    elif way == "file":
        env = {"REPLICATOR_SOURCE_PASSWORD_FILE": str(secret)}
    else:
        config = tmp_path / "stream.toml"
        quoted = pair18.url.replace("\\", "\\\\")
        config.write_text(f'source = "{quoted}"\ntarget = "{pair18.target}"\n')
        arguments = ["sync", "--once", "-v", "--config", str(config)]
    with run_replicator(arguments, env=env) as running:
        code = running.wait(60)
        output = running.stdout() + running.stderr()
    assert code == 0, output
    assert ("can be seen in the list of processes" in output) is (way == "url")
    assert NASTY.encode() not in artefacts(pair18, output)
    assert (make_url(pair18.url).render_as_string(hide_password=False)).encode() not in artefacts(pair18, output)


def test_a_wrong_password_is_not_shown_either(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    wrong = "n0t_th3_%s'\"@:/#"
    with run_replicator(
        ["sync", "--once", without_password(pair18.url), pair18.target], env={"REPLICATOR_SOURCE_PASSWORD": wrong}
    ) as running:
        code = running.wait(60)
        output = running.stdout() + running.stderr()
    assert code == 3
    assert "refused the login" in output and wrong not in output
    pair18.assert_nothing_made()


def test_s018_the_least_role_with_a_publication_of_the_owner(pair: Pair) -> None:
    """SELECT and REPLICATION alone; the owner made the publication."""
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
    pair.database.execute("CREATE PUBLICATION ours FOR TABLE t WITH (publish_via_partition_root = true)")
    least = Pair(pair.database, pair.path, pair.database.role(grants=SOURCE_GRANTS))
    config = pair.path.with_suffix(".toml")
    config.write_text('publication = "ours"\n')
    try:
        least.once("--config", str(config))
        pair.database.execute("UPDATE t SET v = 'b'; INSERT INTO t VALUES (2, 'c')")
        least.once("--config", str(config))
        least.assert_equal(["public.t"])
        assert least.publications() == ["ours"]
    finally:
        least.close()


def test_s018_the_least_role_that_publishes_itself(pair: Pair) -> None:
    url = pair.database.role("publisher_of_its_own", grants=PUBLISHER_GRANTS)
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t OWNER TO publisher_of_its_own")
    publisher = Pair(pair.database, pair.path, url)
    try:
        publisher.once()
        pair.database.execute("INSERT INTO t VALUES (2, 'c')")
        publisher.once()
        publisher.assert_equal(["public.t"])
    finally:
        publisher.close()


def test_s064_names_of_every_sort(pair: Pair) -> None:
    """As names of tables, of columns, of a key, of an enum and of its labels; copied and streamed."""

    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def literal(text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    statements = ["CREATE TABLE x (id int PRIMARY KEY)", f"CREATE TYPE {quoted(ENUM)} AS ENUM ("]
    statements[1] += ", ".join(literal(name) for name in NAMES) + ")"
    for name in NAMES:
        columns = ", ".join(f"{quoted(other)} text" for other in NAMES if other != name)
        statements.append(
            f"CREATE TABLE {quoted(name)} ({quoted(name)} {quoted(ENUM)} PRIMARY KEY, {columns}); "
            f"INSERT INTO {quoted(name)} ({quoted(name)}, {quoted(next(n for n in NAMES if n != name))}) "
            f"VALUES ({literal(name)}, {literal(name)})"
        )
    for statement in statements:
        connection = pair.database.connect()
        connection.cursor().execute(statement)
        connection.close()
    pair.once()
    connection = pair.database.connect()
    for name in NAMES:
        other = quoted(next(n for n in NAMES if n != name))
        connection.cursor().execute(f"UPDATE {quoted(name)} SET {other} = 'changed'")
        connection.cursor().execute(f"UPDATE {quoted(name)} SET {quoted(name)} = {literal(NAMES[3])}")
    connection.close()
    pair.once()
    made = {name for (name,) in pair.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(NAMES) | {"x"} <= made
    oracle.assert_equal(pair.database.url, pair.path, {f"public.{name}": name for name in NAMES})


def test_s022_the_lock_file_is_for_its_owner_alone(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair18.once()
    lock = pair18.path.with_name(f"{pair18.path.name}-default.lock")
    assert lock.stat().st_mode & 0o077 == 0
