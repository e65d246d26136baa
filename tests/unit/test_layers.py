"""Imports point one way: model <- engine <- sql <- engines/*, and model <- engine <- pipeline <- cli."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import replicator

ROOT = Path(replicator.__file__).parent
OPEN_TO_ALL = {"errors", "failpoints", "remedies"}
MAY_IMPORT = {
    "model": {"model"},
    "engine": {"model", "engine", "engines"},  # find() names the folder and loads its modules by name
    "sql": {"model", "engine", "sql"},
    "engines": {"model", "engine", "sql", "engines"},
    "pipeline": {"model", "engine", "pipeline"},
    "config": {"model", "engine"},
    "logs": set(),
    "terminal": {"model", "pipeline"},
    "printing": {"model", "pipeline"},
    "demo": {"model", "engine", "pipeline", "demo"},
    "cli": {"model", "engine", "pipeline", "config", "logs", "terminal", "printing", "demo", "cli"},
    "__main__": {"cli"},
    "__init__": set(),
    "errors": set(),
    "failpoints": set(),
    "remedies": set(),
}
FILES = sorted(ROOT.rglob("*.py"))
ENGINES = sorted(path.name for path in (ROOT / "engines").iterdir() if (path / "__init__.py").exists())


def imported(path: Path) -> Iterator[str]:
    """Modules of ours that a file imports, wherever in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if node.module and node.module.split(".")[0] == "replicator":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "replicator")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    layer = parts[0]
    allowed = MAY_IMPORT[layer] | OPEN_TO_ALL
    for name in imported(path):
        words = name.split(".")
        if len(words) == 1 or words[1] == "__version__":
            continue
        assert words[1] in allowed, f"{path}: {layer} may not import {name}"
        if layer == "engines" and words[1] == "engines" and len(parts) > 1:
            assert words[2] == parts[1], f"{path}: an engine may not import another one ({name})"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_an_engine_knows_its_name(path: Path) -> None:
    """Outside its folder no string and no branch names an engine; the demo is a demo of two of them."""
    layer = path.relative_to(ROOT).parts[0]
    if layer in ("engines", "demo"):
        return
    tree = ast.parse(path.read_text())
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare | ast.Match)]
    for node in compared:
        for constant in ast.walk(node):
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                assert constant.value.lower() not in {*ENGINES, "postgresql", "mariadb"}, f"{path}:{node.lineno}"


def test_every_layer_is_known() -> None:
    layers = {path.relative_to(ROOT).with_suffix("").parts[0] for path in FILES}
    assert layers <= set(MAY_IMPORT)


def test_identifiers_are_quoted_in_one_place() -> None:
    """No f-string outside sql/statements.py puts quote marks of SQL around a name itself."""
    for path in FILES:
        if path.name == "statements.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.JoinedStr):
                continue
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
            first = text.lstrip().split(" ")[0]
            is_sql = first in {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE", "SELECT", "COPY", "GRANT"}
            assert not (is_sql and '"\0"' in text), f"{path}:{node.lineno}: a name is quoted by hand"
