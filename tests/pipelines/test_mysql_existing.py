"""MySQL and MariaDB tables that somebody else made: more, other and narrower columns, and what acts by itself."""

from __future__ import annotations

from pathlib import Path

from tests.support.into_mysql import TARGET_GRANTS, PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlToMysql
from tests.support.servers import Server

SOURCE = (
    "CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n numeric(8, 2), s timestamp(3));"
    "INSERT INTO t VALUES (1, 'one', 1.5, '2024-01-01 00:00:00.123')"
)


def change(pair: PostgresIntoMysql) -> None:
    pair.database.execute(
        "INSERT INTO t SELECT i, 'v' || i, i, now()::timestamp(3) FROM generate_series(2, 120) i;"
        "UPDATE t SET v = 'w', n = n + 1 WHERE id % 2 = 0; UPDATE t SET id = id + 1000 WHERE id IN (3, 4);"
        "DELETE FROM t WHERE id IN (5, 6)"
    )


def test_s073_s077_more_columns_at_the_target(into: PostgresIntoMysql) -> None:
    """Each kind of column that fills itself, in one table; a moment that moves with each update is the owner's wish."""
    pair = into
    pair.database.execute(SOURCE)
    pair.into.execute(
        "CREATE TABLE t (a text, id int PRIMARY KEY, b varchar(9) NOT NULL DEFAULT 'x', n decimal(8,2), v varchar(10),"
        "c varchar(30) AS (CONCAT(v, '!')) STORED, e int AS (id + 1), s datetime(6), f int AUTO_INCREMENT UNIQUE,"
        "g timestamp NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)"
    )
    pair.once()
    change(pair)
    pair.once()
    assert pair.rows("SELECT count(*) FROM t WHERE c <> CONCAT(v, '!') OR e <> id + 1 OR b <> 'x' OR a > ''") == [(0,)]
    pair.into.execute("ALTER TABLE t " + ", ".join(f"DROP COLUMN {name}" for name in "abcefg"))
    pair.assert_equal()


def test_s073_a_column_that_must_be_given(into: PostgresIntoMysql) -> None:
    into.database.execute(SOURCE)
    into.into.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(10), n decimal(8,2), s datetime(6), m int NOT NULL)"
    )
    output = into.once(code=3)
    assert "column m is NOT NULL without a default" in output


TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
COLUMNS: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "a wider whole number": (("int", "bigint", True), ("smallint", "decimal(5,0)", True)),
    "a narrower one": (("int", "smallint", False), ("int", "int unsigned", False), ("bigint", "decimal(18,0)", False)),
    "two digits of a year": (("smallint", "year", False),),
    "text": (("varchar(10)", "varchar(20)", True), ("varchar(10)", "tinytext", True), ("text", "longtext", True)),
    "shorter text": (("varchar(10)", "varchar(9)", False), ("text", "mediumtext", False), ("text", "text", False)),
    "trailing spaces are cut": (("varchar(10)", "char(10)", False), ("text", "char(255)", False)),
    "other character sets": (
        ("varchar(10)", "varchar(10) CHARACTER SET latin1", False),
        ("varchar(10)", "varchar(10) CHARACTER SET utf8mb3", False),
        ("varchar(10)", "varchar(10) CHARACTER SET ascii", False),
        ("varchar(10)", "varbinary(40)", False),
    ),
    "bytes": (("bytea", "longblob", True), ("bytea", "blob", False), ("bytea", "binary(9)", False)),
    "decimals": (("numeric(8,2)", "decimal(10,3)", True), ("numeric(8,2)", "decimal(8,3)", False)),
    "floating point": (("real", "float(7,3)", False), ("float8", "double(10,2)", False)),
    "a float": (("float8", "float", False), ("numeric(8,2)", "double", False)),
    "times": (("timestamp(3)", "datetime(6)", True), ("timestamp(3)", "datetime", False), ("time(3)", "time(6)", True)),
    "times that end in 2038": (
        ("timestamptz(3)", "timestamp(6) NULL", False),
        ("timestamp(3)", "timestamp(3) NULL", False),
    ),
    "a date": (("date", "date", True), ("date", "datetime", False)),
    "labels": (("text", "enum('a','b')", False), ("text", "set('a','b')", False)),
    "a truth": (("boolean", "tinyint(1)", True), ("boolean", "bit(1)", False)),
    "an id": (("uuid", "char(36) CHARACTER SET ascii COLLATE ascii_bin", True), ("uuid", "binary(16)", False)),
}


def test_s074_what_an_existing_column_must_be(into: PostgresIntoMysql) -> None:
    pair = into
    wanted: dict[str, bool] = {}
    for about, cases in COLUMNS.items():
        for kind, there, fits in cases:
            table = f"t{len(wanted)}"
            wanted[f"{table} ({about}: {kind} in {there})"] = fits
            pair.database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, c {kind})")
            pair.into.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, c {there})")
    output = pair.run("check", code=3)
    found = {case: f"target table {case.split()[0]}: column c is" not in output for case in wanted}
    assert [case for case in wanted if found[case] != wanted[case]] == []


def test_s074_what_cannot_take_every_row_is_refused(into: PostgresIntoMysql) -> None:
    pair = into
    cases = {
        "missing": ("id int PRIMARY KEY", "column v is missing"),
        "must": ("id int PRIMARY KEY, v varchar(9) NOT NULL", "column v is NOT NULL, and the source has it nullable"),
        "made": ("id int PRIMARY KEY, v varchar(9) AS ('x')", "column v is generated there"),
        "keyless": ("id int, v varchar(9)", "no primary key or unique index on (id)"),
        "prefix": ("id int PRIMARY KEY, v varchar(9), UNIQUE (v(3))", "unique index"),
        "ci": (
            "id int PRIMARY KEY, v varchar(9) COLLATE utf8mb4_general_ci UNIQUE",
            "the collation utf8mb4_general_ci",
        ),
        "padded": ("id int PRIMARY KEY, v varchar(9) COLLATE utf8mb4_bin UNIQUE", "the collation utf8mb4_bin"),
    }
    for table, (columns, _) in cases.items():
        pair.database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v varchar(9))")
        pair.into.execute(f"CREATE TABLE {table} ({columns}) CHARACTER SET utf8mb4")
    kinds = {"myisam": "stored by MyISAM", "memory": "stored by MEMORY", "viewed": "it is a view", "fired": "log_it"}
    for table in kinds:
        pair.database.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    pair.into.execute(
        "CREATE TABLE myisam (id int PRIMARY KEY) ENGINE = MyISAM",
        "CREATE TABLE memory (id int PRIMARY KEY) ENGINE = MEMORY",
        "CREATE VIEW viewed AS SELECT 1 AS id",
        "CREATE TABLE fired (id int PRIMARY KEY)",
        "CREATE TRIGGER log_it AFTER INSERT ON fired FOR EACH ROW SET @x = 1",
    )
    output = pair.once(code=3)
    for table, said in {**{name: said for name, (_, said) in cases.items()}, **kinds}.items():
        lines = [line for line in output.splitlines() if f"target table {table}: " in line]
        assert lines and said in lines[0], (table, said, output)


def test_s077_triggers_that_nobody_shows_us(into: PostgresIntoMysql) -> None:
    """A role that is active gives the right as well."""
    pair = into
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.into.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair.hand_over()
    poor = PostgresIntoMysql(pair.database, pair.into, pair.url)
    poor._target = pair.into.user(TARGET_GRANTS)
    name = poor._target.partition("://")[2].partition(":")[0]
    if pair.into.server.engine == "mysql":
        assert "GRANT TRIGGER ON" in poor.once(code=3)
        role = f"r_{name}"
        pair.into.execute(
            f"CREATE ROLE {role}",
            f"GRANT TRIGGER ON `{pair.into.name}`.* TO {role}",
            f"GRANT {role} TO '{name}'@'%'",
            f"ALTER USER '{name}'@'%' DEFAULT ROLE {role}",
        )
        pair.into.roles.append(role)
    poor.once()
    pair.into.execute("CREATE TABLE u (id int)", "CREATE TRIGGER `lo``g` AFTER INSERT ON u FOR EACH ROW SET @x = 1")
    pair.database.execute("CREATE TABLE u (id int PRIMARY KEY)")
    pair.hand_over()
    assert "lo`g" in poor.once(code=3)


def test_s077_triggers_that_are_allowed_fire(into: PostgresIntoMysql, tmp_path: Path) -> None:
    pair = into
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
    pair.into.execute(
        "CREATE TABLE t (id int PRIMARY KEY)",
        "CREATE TABLE audit (id int)",
        "CREATE TRIGGER note AFTER INSERT ON t FOR EACH ROW INSERT INTO audit VALUES (NEW.id)",
    )
    output = pair.once(code=3)
    assert "triggers would fire" in output and '[table_options."public.t"]' in output
    config = tmp_path / "r.toml"
    config.write_text('[table_options."public.t"]\nallow_triggers = true\n')
    pair.once("--config", str(config))
    assert pair.rows("SELECT id FROM audit") == [(1,)]


def test_s077_a_moment_that_moves_by_itself_is_the_sources(into: PostgresIntoMysql, mysql: Server) -> None:
    """A column ON UPDATE CURRENT_TIMESTAMP that a minimal row image leaves out, and one that is in the key."""
    with MysqlDatabase(mysql) as source, MysqlToMysql(source, into.into) as pair:
        key = "ts timestamp NOT NULL DEFAULT '2001-01-01' ON UPDATE CURRENT_TIMESTAMP"
        for each in (source, pair.into):
            each.execute(
                f"CREATE TABLE t (id int PRIMARY KEY, v int, {key})",
                f"CREATE TABLE k (id int, {key}, v int, PRIMARY KEY (id, ts))",
            )
        source.execute("CREATE TABLE marker (id int PRIMARY KEY)")
        source.execute(
            "INSERT INTO t (id, v) VALUES (1, 1), (2, 1), (3, 1)", "INSERT INTO k (id, v) VALUES (1, 1), (2, 1)"
        )
        source.execute("SET SESSION binlog_row_image = 'MINIMAL'")
        running = pair.following()
        source.execute("UPDATE t SET v = 2, ts = ts WHERE id = 1", "UPDATE t SET v = id, ts = ts WHERE id > 1")
        source.execute("UPDATE k SET v = 2, ts = ts WHERE id = 1")
        pair.catch_up(running)
        pair.assert_equal(["t", "k"])
        assert {str(at) for (at,) in pair.rows("SELECT ts FROM t")} == {"2001-01-01 00:00:00"}
