"""Wrong options, URLs and configuration files: exit 2, with the file and the key, before any connection."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from replicator.cli import main

ENDS = 'source = "postgresql://u:T0pS3cret@127.0.0.1:1/db"\ntarget = "sqlite:////tmp/never-made.db"\n'
BAD_FILES = {
    "an unknown key": (ENDS + "colour = 1\n", "unknown key colour"),
    "a key in the wrong place": (ENDS + '[map]\nx = "y"\n[columns.z]\n[nothing]\n', "unknown key nothing"),
    "a dash for an underscore": (ENDS + "give-up-after = 3\n", "unknown key give-up-after"),
    "text for a number": (ENDS + 'give_up_after = "soon"\n', "give_up_after"),
    "a negative number": (ENDS + "give_up_after = -1\n", "give_up_after"),
    "zero": (ENDS + "give_up_after = 0\n", "give_up_after"),
    "nan": (ENDS + "give_up_after = nan\n", "give_up_after"),
    "text for a list": (ENDS + 'tables = "public.*"\n', "tables"),
    "a number in a list": (ENDS + "tables = [1]\n", "tables.0"),
    "text for a flag": (ENDS + 'truncate = "perhaps"\n', "truncate"),
    "a list for a map": (ENDS + 'map = ["a=b"]\n', "map"),
    "a number in a map": (ENDS + "[map]\na = 1\n", "map.a"),
    "a name with a dash": (ENDS + 'name = "my-shop"\n', "name"),
    "a name in capitals": (ENDS + 'name = "Shop"\n', "name"),
    "an empty name": (ENDS + 'name = ""\n', "name"),
    "a name with a newline": (ENDS + 'name = "shop\\n"\n', "name"),
    "a name too long": (ENDS + f'name = "{"a" * 41}"\n', "name"),
    "an empty publication": (ENDS + 'publication = ""\n', "publication"),
    "a slot in capitals": (ENDS + 'slot = "Slot"\n', "slot"),
    "a log format": (ENDS + 'log_format = "xml"\n', "log_format"),
    "both truncate and append": (ENDS + "truncate = true\nappend = true\n", "exclude each other"),
    "no source": ('target = "sqlite:///x.db"\n', "source is missing"),
    "no target": ('source = "postgresql://u@h/db"\n', "target is missing"),
    "empty": ("", "source is missing"),
    "a key twice": (ENDS + 'name = "a"\nname = "b"\n', "line"),
    "a table twice": (ENDS + "[map]\n[map]\n", "line"),
    "no TOML": ("source: postgresql://u@h/db\n", "line"),
    "JSON": ('{"source": "x"}\n', "line"),
    "an open string": ('source = "postgresql://\n', "line"),
    "a variable that is not set": (ENDS + 'name = "${REPLICATOR_NOT_SET_ANYWHERE}"\n', "REPLICATOR_NOT_SET_ANYWHERE"),
    "a variable in a list": (ENDS + 'tables = ["${REPLICATOR_NOT_SET_ANYWHERE}"]\n', "tables"),
    "an unknown policy": (ENDS + '[columns."public.t.c"]\nzero_date = "null"\n', "zero_date"),
    "an unknown policy word": (ENDS + '[columns."public.t.c"]\nas = "blob"\n', 'as = "blob"'),
    "a column without its table": (ENDS + '[columns."c"]\nas = "text"\n', "schema.table.column"),
    "a policy that is a number": (ENDS + '[columns."public.t.c"]\nas = 1\n', "columns.public.t.c.as"),
    "a scheme": ('source = "oracle://u@h/db"\ntarget = "sqlite:///x.db"\n', "no engine for 'oracle'"),
    "no scheme": ('source = "u@h/db"\ntarget = "sqlite:///x.db"\n', "not a URL"),
    "an empty URL": ('source = ""\ntarget = "sqlite:///x.db"\n', "not a URL"),
    "a source without a database": ('source = "postgresql://u@h"\ntarget = "sqlite:///x.db"\n', "names no database"),
    "a parameter": (
        'source = "postgresql://u:T0pS3cret@h/db?fsync=off"\ntarget = "sqlite:///x.db"\n',
        "unknown parameter fsync",
    ),
    "an sslmode": ('source = "postgresql://u@h/db?sslmode=maybe"\ntarget = "sqlite:///x.db"\n', "sslmode"),
    "a port that is none": ('source = "postgresql://u:T0pS3cret@h:port/db"\ntarget = "sqlite:///x.db"\n', "SOURCE"),
    "a target without a file": ('source = "postgresql://u@h/db"\ntarget = "sqlite://"\n', "TARGET"),
    "memory": ('source = "postgresql://u@h/db"\ntarget = "sqlite:///:memory:"\n', "TARGET"),
    "a file with parameters": ('source = "postgresql://u@h/db"\ntarget = "sqlite:///x.db?mode=ro"\n', "TARGET"),
    "a target that is no target": ('source = "postgresql://u@h/db"\ntarget = "postgresql://u@h/db"\n', "TARGET"),
    "a source that is no source": ('source = "sqlite:///x.db"\ntarget = "sqlite:///y.db"\n', "SOURCE"),
}


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    log = logging.getLogger("replicator")
    before = (log.handlers[:], log.propagate, log.level)
    yield
    log.handlers[:], log.propagate = before[:2]
    log.setLevel(before[2])


@pytest.fixture(autouse=True)
def signals_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("replicator.pipeline.stop.Stop.install", lambda self: None)


def run(*args: str) -> str:
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == 2, result.output
    assert "T0pS3cret" not in result.output and "Traceback" not in result.output
    return result.output


@pytest.mark.parametrize("name", BAD_FILES)
def test_s124_a_bad_configuration_file(name: str, tmp_path: Path) -> None:
    content, text = BAD_FILES[name]
    file = tmp_path / "stream.toml"
    file.write_text(content)
    output = run("sync", "--config", str(file))
    assert text in output, output
    if "TARGET" not in output and "SOURCE" not in output and "columns." not in output:
        assert str(file) in output or "exclude each other" in output or '[columns."' in output, output


def test_s124_files_that_cannot_be_read(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "absent.toml", tmp_path, binary):
        assert str(file) in run("sync", "--config", str(file))
    with_mark = tmp_path / "mark.toml"
    with_mark.write_text("\ufeff" + ENDS)
    assert str(with_mark) in run("sync", "--config", str(with_mark))


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("sync",), "source is missing"),
        (("sync", "--no-such-option"), "No such option"),
        (("sync", "a", "b", "c"), "unexpected extra argument"),
        (("nothing",), "No such command"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--map", "a"), "OLD=NEW"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--map", "=a"), "OLD=NEW"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--log-format", "xml"), "--log-format"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--give-up-after", "soon"), "--give-up-after"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--give-up-after", "0"), "give_up_after"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--truncate", "--append"), "exclude each other"),
        (("sync", "postgresql://u@h/db", "sqlite:///x.db", "--name", "a b"), "name"),
        (("sync", "oracle://u:T0pS3cret@h/db", "sqlite:///x.db"), "no engine for 'oracle'"),
        (("sync", "postgresql://u:T0pS3cret@h/db", "mysql:/x"), "TARGET"),
    ],
)
def test_wrong_options(args: tuple[str, ...], text: str) -> None:
    assert text in run(*args)


def test_the_error_that_ends_a_run_is_json_too(tmp_path: Path) -> None:
    lost = ("sync", "postgresql://127.0.0.1:1/x", f"sqlite:///{tmp_path}/no/x.db", "--log-format", "json")
    result = CliRunner().invoke(main, list(lost))
    said = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.exit_code == 3
    assert said[-1]["level"] == "error" and "does not exist" in said[-1]["message"] and said[-1]["exit_code"] == 3
    assert said[-1]["remedy"].startswith("mkdir -p")
