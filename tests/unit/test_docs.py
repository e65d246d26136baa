"""What the docs name exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from replicator.cli import main
from replicator.engines.sqlite.types import POLICIES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_test_that_the_promise_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/explanation/delivery.md").read_text()))
    assert named
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_every_fault_of_the_table_has_its_tests() -> None:
    """By the number in their names; and the table has all of them, each once."""
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    rows = re.findall(r"^\| ([\d, -]+) \|", (ROOT / "docs/explanation/faults.md").read_text(), re.MULTILINE)
    listed: list[int] = []
    for part in ", ".join(rows).split(", "):
        first, _, last = part.partition("-")
        listed += range(int(first), int(last or first) + 1)
    assert sorted(listed) == [*range(1, 84)]
    assert [number for number in listed if not re.search(rf"def test_(s\d+a?_)*s{number:03}_", tests)] == []


def test_the_reference_has_every_option() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text()
    for command in main.commands.values():
        assert f"replicator {command.name}" in page
    help_text = CliRunner().invoke(main, ["sync", "--help"]).output
    for option in re.findall(r"--[a-z-]+", help_text):
        assert option == "--help" or option in page or option == "--verbose", option


def test_the_reference_has_every_policy() -> None:
    page = (ROOT / "docs/reference/types.md").read_text()
    for policy, words in POLICIES.items():
        for word in words:
            assert f'`{policy} = "{word}"`' in page
