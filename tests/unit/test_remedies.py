"""What is printed is pasted: into a shell, and into a configuration file."""

import shlex
import tomllib

import pytest

from replicator import remedies

NAMES = [
    "public.t",
    "public.it's",
    'public."; rm -rf $HOME',
    "s p.`id`",
    "public.a\nb",
    "public.\\n",
    "public.🦆*",
    "a.]'\"[",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_survive_being_pasted(name: str) -> None:
    assert shlex.split(f"x --exclude {remedies.shell(name)}") == ["x", "--exclude", name]
    assert shlex.split(remedies.recopy(name, "b"))[2:] == ["SOURCE", "TARGET", name, "b"]
    assert tomllib.loads(f"{remedies.section('columns', name)}\nas = 'text'") == {"columns": {name: {"as": "text"}}}


def test_commands_are_those_of_the_stream() -> None:
    one, config = remedies.recopy("public.t"), remedies.recopy("public.t", options=" --config FILE")
    assert remedies.of_stream(f"x; {one}", "default") == "x; replicator recopy SOURCE TARGET 'public.t'"
    assert remedies.of_stream(one, "two") == "replicator recopy SOURCE TARGET --name two 'public.t'"
    assert remedies.of_stream(config, "two") == "replicator recopy --config FILE SOURCE TARGET --name two 'public.t'"
    named = "replicator drop SOURCE TARGET --name one"
    assert remedies.of_stream(named, "two") == named


def test_long_lists_are_cut() -> None:
    assert remedies.named(["a", "b"]) == "a, b"
    assert remedies.named(range(1000)).endswith("18, 19 and 980 more")
