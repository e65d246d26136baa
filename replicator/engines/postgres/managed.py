"""How a server's parameters are set and rights are given where nobody is its superuser: managed services.

From their manuals; none of it was run there.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.FeatureSupport.LogicalReplication.html,
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Replication.Logical.html,
https://cloud.google.com/sql/docs/postgres/replication/configure-logical-replication,
https://learn.microsoft.com/azure/postgresql/flexible-server/concepts-logical
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg2.extensions import connection as SqlConnection

from replicator.engines.postgres.connect import query
from replicator.sql.statements import text_literal


@dataclass(frozen=True)
class Service:
    """`role`: one that only its servers have. `place`: where its parameters are. `names`: those that it calls
    otherwise, with the value for ours. `grant`: how a role gets the right to replicate; {role} is quoted."""

    name: str
    role: str
    place: str
    names: Mapping[str, str] = field(default_factory=dict)
    grant: str = "ALTER ROLE {role} REPLICATION"

    def set(self, name: str, value: str, *, restart: bool) -> str:
        """What to do for the parameter to have the value."""
        if self is OWN:
            then = "then restart the server" if restart else "SELECT pg_reload_conf()"
            return f"ALTER SYSTEM SET {name} = {text_literal(value)}{', ' if restart else '; '}{then}"
        wanted = self.names.get(name, f"{name} = {value}")
        return f"{self.name}: {wanted} in {self.place}{', then restart the instance' if restart else ''}"


OWN = Service("", "", "")
SERVICES = (
    Service(
        "Amazon RDS or Aurora",
        "rds_superuser",
        "a parameter group of your own (for Aurora the cluster's)",
        {"wal_level": "rds.logical_replication = 1"},
        "GRANT rds_replication TO {role}",
    ),
    Service(
        "Google AlloyDB",
        "alloydbsuperuser",
        "the instance's flags",
        {"wal_level": "alloydb.logical_decoding = on"},
    ),
    Service(
        "Google Cloud SQL",
        "cloudsqlsuperuser",
        "the instance's flags",
        {"wal_level": "cloudsql.logical_decoding = on"},
    ),
    Service("Azure Database", "azure_pg_admin", "the server parameters"),
)


def service(connection: SqlConnection) -> Service:
    """Whose server this is; OWN where it is none of those known."""
    marks = [each.role for each in SERVICES]
    rows = query(connection, "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s)", (marks,))
    return next((each for each in SERVICES if (each.role,) in rows), OWN)
