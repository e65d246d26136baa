"""Managed services, as their manuals have them: how each is told, and what is said in place of a statement."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from replicator.engines.mysql import managed as mysql
from replicator.engines.postgres import managed as postgres


def server(variables: dict[str, str]) -> Any:
    return SimpleNamespace(control=SimpleNamespace(variables=lambda *names: variables))


MYSQL = {
    "own": ({"version": "9.7.0", "basedir": "/usr/"}, mysql.OWN),
    "rds": ({"version": "8.4.5", "basedir": "/rdsdbbin/mysql-8.4.5.R1/"}, mysql.RDS),
    "aurora": ({"version": "8.0.39", "basedir": "/rdsdbbin/oscar-8.0/", "aurora_version": "3.08.0"}, mysql.AURORA),
    "cloud sql": ({"version": "8.0.41-google", "basedir": "/usr/"}, mysql.CLOUD_SQL),
    "azure": ({"version": "8.0.40-azure", "basedir": "/app/work/"}, mysql.AZURE),
}


@pytest.mark.parametrize("name", MYSQL)
def test_mysql_services_are_told(name: str) -> None:
    variables, service = MYSQL[name]
    assert mysql.service(server(variables)) is service


def test_what_is_said_of_mysql() -> None:
    assert mysql.OWN.set("binlog_format", "ROW") == "SET GLOBAL binlog_format = ROW"
    assert mysql.OWN.set("binlog_row_value_options", "") == "SET GLOBAL binlog_row_value_options = ''"
    assert mysql.OWN.switch_on("by hand") == "by hand"
    assert mysql.RDS.set("binlog_format", "ROW") == "Amazon RDS: binlog_format = ROW in a parameter group of your own"
    assert "rds_set_configuration" in mysql.RDS.set("binlog_expire_logs_seconds", "604800")
    for service in (mysql.AURORA, mysql.RDS, mysql.CLOUD_SQL, mysql.AZURE):
        said = (service.set("binlog_row_metadata", "FULL"), service.switch_on("by hand"))
        assert all(text.startswith(service.name) and "SET GLOBAL" not in text and text != "by hand" for text in said)


def test_what_is_said_of_postgresql() -> None:
    own = postgres.OWN
    assert own.set("wal_level", "logical", restart=True) == (
        "ALTER SYSTEM SET wal_level = 'logical', then restart the server"
    )
    assert own.set("x", "a, b", restart=False) == "ALTER SYSTEM SET x = 'a, b'; SELECT pg_reload_conf()"
    assert own.grant.format(role="r") == "ALTER ROLE r REPLICATION"
    rds = postgres.SERVICES[0]
    assert rds.set("wal_level", "logical", restart=True) == (
        "Amazon RDS or Aurora: rds.logical_replication = 1 in a parameter group of your own (for Aurora the "
        "cluster's), then restart the instance"
    )
    assert rds.grant.format(role="r") == "GRANT rds_replication TO r"
    for service in postgres.SERVICES:
        assert "ALTER SYSTEM" not in service.set("max_replication_slots", "20", restart=True)
