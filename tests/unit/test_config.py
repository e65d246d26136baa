"""The configuration file: what it takes, and how it says no."""

from __future__ import annotations

from pathlib import Path

import pytest

from replicator import config
from replicator.engine import find
from replicator.engines.sqlite import ENGINE as SQLITE
from replicator.errors import UsageError
from replicator.model.schema import Name

GOOD = """
name = "shop"
source = "postgresql://app:${SHOP_PASSWORD}@db/shop"
target = "sqlite:///shop.db"
tables = ["public.*"]
exclude = ["public.audit_*"]
[map]
"public.orders" = "orders"
[columns."public.orders.ratio"]
nan = "null"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shop.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "geheim")
    found = config.load(write(tmp_path, GOOD), {"name": "other", "tables": (), "truncate": None})
    assert found.name == "other"
    assert found.source is not None and found.source.get_secret_value() == "postgresql://app:geheim@db/shop"
    assert found.selection.mapping == {"public.orders": "orders"}
    assert found.policies(SQLITE.policies()) == {Name("public", "orders"): {"ratio": {"nan": "null"}}}
    assert "geheim" not in repr(found) + str(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nome = 1", "unknown key nome"),
        ('name = "Shop"', "name: "),
        ('name = "' + "a" * 41 + '"', "name: "),
        ("name = 5", "name: "),
        ('tables = "public.*"', "tables: "),
        ("tables = [1]", "tables.0: "),
        ('truncate = "yes\\tplease"', "truncate: "),
        ("give_up_after = -1", "give_up_after: "),
        ('slot = "a b"', "slot: "),
        ('log_format = "xml"', "log_format: "),
        ("name = \nsource = 1", "line 1"),
        ("\tname = 'x'\nsource = [\n}", "line 3"),
        ('source = "${NOT_SET_ANYWHERE}"', "NOT_SET_ANYWHERE is not set"),
        ('[map]\n"a" = 1', "map.a: "),
        ('[columns]\n"public.a.b" = "x"', "columns.public.a.b: "),
        ("truncate = true\nappend = true", "exclude each other"),
    ],
)
def test_s124_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, 'source = "postgresql://u:verysecret@h/d"\ntarget = "sqlite:///x"\n' + text)
    if text.startswith("source"):
        path = write(tmp_path, text)
    if text.startswith(("name = ", "\t")) and "line" in message:
        path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        config.load(path, {})
    assert message in caught.value.what
    assert "verysecret" not in str(caught.value)
    if "exclude each other" not in message:
        assert str(path) in caught.value.what


@pytest.mark.parametrize(
    ("path", "chosen", "message"),
    [
        ("orders.ratio", {"nan": "null"}, "schema.table.column"),
        ("public.orders.ratio", {"nan": "zero"}, "is not known"),
        ("public.orders.ratio", {"nonsense": "x"}, "is not known"),
    ],
)
def test_bad_policies(path: str, chosen: dict[str, str], message: str) -> None:
    found = config.Config(source="x", target="y", columns={path: chosen})
    with pytest.raises(UsageError, match=message):
        found.policies(SQLITE.policies())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        config.load(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    "url",
    [
        "nothing",
        "oracle://x/y",
        "sqlite:///",
        "sqlite://x",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=ro",
        "sqlite:///a.db?cache=shared",
        "postgresql://u:verysecret@h",
        "postgresql://u:verysecret@h/d?sslmode=maybe",
        "postgresql://u:verysecret@h/d?options=-cfoo",
        "postgresql://u:verysecret@h:port/d",
    ],
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(url).endpoint(url, None)
    assert "verysecret" not in str(caught.value)
    assert caught.value.remedy


def test_password_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REPLICATOR_SOURCE_PASSWORD", raising=False)
    path = tmp_path / "secret"
    path.write_text("S3cr3t_%s'\"@:/#\n")
    path.chmod(0o600)
    monkeypatch.setenv("REPLICATOR_SOURCE_PASSWORD_FILE", str(path))
    assert config.password("SOURCE") == "S3cr3t_%s'\"@:/#"
    path.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        config.password("SOURCE")
    link = tmp_path / "link"
    link.symlink_to(path)
    monkeypatch.setenv("REPLICATOR_SOURCE_PASSWORD_FILE", str(link))
    with pytest.raises(UsageError, match="cannot be read"):
        config.password("SOURCE")
    monkeypatch.setenv("REPLICATOR_SOURCE_PASSWORD", "direct")
    assert config.password("SOURCE") == "direct"
