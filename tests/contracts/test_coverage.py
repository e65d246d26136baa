"""Is anything left out? A protocol without a suite and an engine without its lines fail here."""

from __future__ import annotations

import ast
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import replicator.engine
import replicator.engines
from replicator.engine import Engine, find
from tests.contracts.engines import COPY_SOURCES, ENGINES, SOURCES, TARGETS

HERE = Path(__file__).parent
FOLDERS = sorted(module.name for module in pkgutil.iter_modules(replicator.engines.__path__))


def protocols() -> dict[str, list[str]]:
    """The protocols of `replicator.engine`, each with its methods."""
    folder = Path(replicator.engine.__file__).parent
    return {
        node.name: [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
        for path in sorted(folder.glob("*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases)
    }


@pytest.mark.parametrize(("protocol", "methods"), protocols().items(), ids=protocols())
def test_every_protocol_has_its_suite(protocol: str, methods: list[str]) -> None:
    suite = HERE / f"test_{re.sub('(?<=[a-z])(?=[A-Z])', '_', protocol).lower()}.py"
    assert suite.exists()
    asked = attributes(suite) | attributes(HERE / "streams.py")
    assert [method for method in methods if method not in asked] == []


def attributes(path: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}


def engine_of(folder: str) -> Engine:
    found: Engine = __import__(f"replicator.engines.{folder}", fromlist=["ENGINE"]).ENGINE
    return found


def lines(table: Mapping[str, object], folder: str) -> list[str]:
    return [name for name in table if name.partition(":")[0] == folder]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_engine_has_its_lines(folder: str) -> None:
    """For what its capabilities say; every engine can be copied from."""
    engine = engine_of(folder)
    assert folder in ENGINES
    assert lines(COPY_SOURCES, folder)
    assert bool(lines(SOURCES, folder)) == engine.capabilities.reads_log
    assert bool(lines(TARGETS, folder)) == engine.capabilities.writes


def test_no_line_is_of_no_engine() -> None:
    named = {name.partition(":")[0] for table in (COPY_SOURCES, SOURCES, TARGETS) for name in table}
    assert named | set(ENGINES) == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_its_urls_are_its_own(folder: str) -> None:
    assert all(find(url) is engine_of(folder) for url in (*ENGINES[folder].same, ENGINES[folder].other))
