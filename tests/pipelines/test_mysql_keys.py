"""Keys of every kind, and names with everything in them: copied in chunks by key, and changed by key."""

from __future__ import annotations

import pytest

from tests.support.mysql_pair import MysqlPair

pytestmark = pytest.mark.rotating
KINDS: dict[str, tuple[str, ...]] = {
    "float": ("0.1", "-3.4e38", "16777217"),
    "double": ("0.1", "1e100"),
    "decimal(20,5)": ("-1.5", "0"),
    "enum('z','a','')": ("'z'", "'a'"),
    "set('z','a')": ("''", "'z,a'"),
    "bit(17)": ("0", "5"),
    "year": ("0", "2024"),
    "date": ("'0000-00-00'", "'2024-01-01'"),
    "time(3)": ("'-838:59:59'", "'00:00:00.5'"),
    "timestamp(6)": ("'2024-02-29 13:14:15.999999'", "'1970-01-01 00:00:01'"),
    "varchar(20) COLLATE utf8mb4_general_ci": ("'a'", "'B'", "''"),
    "varchar(20) CHARACTER SET sjis": ("'表'", "'a'"),
    "varchar(20) CHARACTER SET utf16": ("'😀'", "'a'"),
    "varbinary(9)": ("x'00'", "x''", "x'ff'"),
    "binary(4)": ("x'00'", "x'ff'"),
}
ON_MARIADB: dict[str, tuple[str, ...]] = {
    "inet4": ("'1.2.3.4'", "'0.0.0.0'"),
    "inet6": ("'::1'", "'::'"),
    "uuid": ("'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"),
}
CHUNK = 70
"""More rows of one value than the first chunk takes."""


def test_keys_of_every_kind(mysql_to_file: MysqlPair) -> None:
    source = mysql_to_file.source
    kinds = KINDS | (ON_MARIADB if source.server.engine == "mariadb" else {})
    source.execute("SET SESSION sql_mode = ''")
    for number, (kind, values) in enumerate(kinds.items()):
        rows = ", ".join(f"({value}, {n}, 0)" for value in values for n in range(CHUNK))
        source.execute(f"CREATE TABLE k{number} (k {kind}, n int, v int, PRIMARY KEY (k, n))")
        source.execute(f"INSERT INTO k{number} VALUES {rows}")
    mysql_to_file.once()
    mysql_to_file.assert_equal()
    for number, (first, *_) in enumerate(kinds.values()):
        source.execute(
            f"UPDATE k{number} SET v = 1 WHERE k = {first} AND n < 3",
            f"DELETE FROM k{number} WHERE n = 5",
            f"UPDATE k{number} SET n = n + 1000 WHERE n = 9",
        )
    mysql_to_file.once()
    mysql_to_file.assert_equal()


def test_s064_names_with_everything_in_them(mysql_to_file: MysqlPair) -> None:
    pair, odd = mysql_to_file, '`we``ird "%s% näme`'
    pair.source.execute(
        f"CREATE TABLE {odd} (`id %s` int PRIMARY KEY, `co``l'\"` text, `order` int, UNIQUE KEY `u %d` (`order`))",
        f"INSERT INTO {odd} VALUES (1, 'a', 5)",
        "CREATE TABLE `temporary` (id int PRIMARY KEY)",
        "CREATE TABLE `1e5` (a int PRIMARY KEY, b int AS (a + 1), c int INVISIBLE DEFAULT 3)",
        "INSERT INTO `temporary` VALUES (1), (2)",
    )
    pair.once()
    pair.source.execute(
        f"UPDATE {odd} SET `co``l'\"` = 'b', `order` = 6",
        "INSERT INTO `1e5` (a) VALUES (4)",
        "TRUNCATE TABLE `temporary`",
        "INSERT INTO `temporary` VALUES (1)",
    )
    pair.once()
    assert pair.rows('SELECT "id %s", "co`l\'""", "order" FROM "we`ird ""%s% näme"') == [(1, "b", 6)]
    assert pair.rows("SELECT id FROM temporary") == [(1,)] and pair.rows('SELECT a, c FROM "1e5"') == [(4, 3)]


def test_s060_a_generated_key_is_no_key_and_an_invisible_one_is_one(mysql_to_file: MysqlPair) -> None:
    pair, on_mysql = mysql_to_file, mysql_to_file.source.server.engine == "mysql"
    if on_mysql:
        pair.source.execute("SET SESSION sql_generate_invisible_primary_key = ON", "CREATE TABLE hidden (v int)")
        pair.source.execute("INSERT INTO hidden VALUES (1), (1)")
    kind = "PRIMARY KEY" if on_mysql else "UNIQUE KEY"
    pair.source.execute(f"CREATE TABLE made (v int, w int AS (v + 1) STORED, {kind} (w))")
    pair.source.execute("INSERT INTO made (v) VALUES (1), (2)")
    pair.once()
    pair.source.execute("UPDATE made SET v = 5 WHERE v = 1", "DELETE FROM made WHERE v = 2")
    if on_mysql:
        pair.source.execute("UPDATE hidden SET v = 2 LIMIT 1", "INSERT INTO hidden VALUES (9)")
    pair.once()
    assert pair.rows("SELECT * FROM made") == [(5,)]
    if on_mysql:
        assert pair.rows("SELECT my_row_id, v FROM hidden ORDER BY 1") == [(1, 2), (2, 1), (3, 9)]
