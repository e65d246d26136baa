"""docker-compose.yml: valid, closed to the network, without a password, and set up for replication.

Nothing here runs a container. The whole compose specification is checked where the package
``check-jsonschema``, which carries its schema, is installed; the rules below are ours and always checked.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

COMPOSE = Path(__file__).parents[2] / "docker-compose.yml"
SPECIFICATION = "builtin_schemas/vendor/compose-spec.json"
WORDS = {"type": "array", "items": {"type": "string"}, "minItems": 1}
RULES: dict[str, Any] = {
    "type": "object",
    "required": ["name", "services", "volumes"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "volumes": {"type": "object", "additionalProperties": {"type": "null"}},
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["image", "command", "environment", "ports", "volumes", "healthcheck"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string", "pattern": r"^[a-z]+:\d+(\.\d+)?$"},
                    "command": WORDS,
                    "profiles": WORDS,
                    "volumes": {"type": "array", "items": {"pattern": r"^[a-z0-9-]+:/"}},
                    "ports": {
                        "type": "array",
                        "minItems": 1,
                        "items": {"pattern": r"^127\.0\.0\.1:\d+:\d+$"},
                    },
                    # A password comes from the environment, and its absence is an error with a name.
                    "environment": {
                        "type": "object",
                        "additionalProperties": {"type": "string", "pattern": r"^\$\{[A-Z_]+:\?[^}]+\}$"},
                    },
                    "healthcheck": {
                        "type": "object",
                        "required": ["test", "interval", "timeout", "retries"],
                        "additionalProperties": False,
                        "properties": {
                            "test": {**WORDS, "contains": {"enum": ["CMD", "CMD-SHELL"]}},
                            "interval": {"pattern": r"^\d+s$"},
                            "timeout": {"pattern": r"^\d+s$"},
                            "retries": {"type": "integer", "minimum": 1},
                        },
                    },
                },
            },
        },
    },
}
BINLOG = {"--binlog-row-image=FULL", "--binlog-row-metadata=FULL", "--log-bin=binlog"}
NEEDED = {
    "postgres": {"-cwal_level=logical"},
    "mysql": BINLOG | {"--gtid-mode=ON", "--enforce-gtid-consistency=ON"},
    "mariadb": BINLOG | {"--binlog-format=ROW"},
    "mariadb-10": BINLOG | {"--binlog-format=ROW"},
}


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


def test_the_file_keeps_our_rules(compose: dict[str, Any]) -> None:
    jsonschema.validate(compose, RULES)


def test_the_file_is_valid_compose(compose: dict[str, Any]) -> None:
    spec = importlib.util.find_spec("check_jsonschema")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the compose specification's schema is not installed: pip install check-jsonschema")
    schema = Path(spec.submodule_search_locations[0]) / SPECIFICATION
    jsonschema.validate(compose, json.loads(schema.read_text()))


@pytest.mark.parametrize("service", NEEDED)
def test_replication_is_turned_on(compose: dict[str, Any], service: str) -> None:
    assert set(compose["services"][service]["command"]) >= NEEDED[service]


def test_services_do_not_share_a_port_or_a_volume(compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    ports = [port.rpartition(":")[0] for service in services for port in service["ports"]]
    volumes = [volume.partition(":")[0] for service in services for volume in service["volumes"]]
    assert len(set(ports)) == len(ports)
    assert sorted(volumes) == sorted(compose["volumes"])


def test_a_literal_password_or_an_open_port_is_refused(compose: dict[str, Any]) -> None:
    postgres = compose["services"]["postgres"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(with_service(compose, postgres | {"ports": ["5432:5432"]}), RULES)
    with pytest.raises(jsonschema.ValidationError):
        literal = {"POSTGRES_PASSWORD": "postgres"}
        jsonschema.validate(with_service(compose, postgres | {"environment": literal}), RULES)


def with_service(compose: dict[str, Any], service: dict[str, Any]) -> dict[str, Any]:
    """Return the file with another ``postgres``."""
    return compose | {"services": compose["services"] | {"postgres": service}}
