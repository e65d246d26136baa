"""One validated configuration, from a TOML file, the environment and the command line. Secrets are never printed."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, ValidationError

from replicator import remedies
from replicator.engine import Objects
from replicator.errors import UsageError
from replicator.model.options import TableOptions, Wishes
from replicator.model.policies import ColumnPolicies, Pattern
from replicator.model.selection import Selection

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _TableOptions(_Strict):
    insert_only: bool = False
    digest_column: bool = False
    allow_triggers: bool = False
    on_conflict: Literal["stop", "overwrite"] = "stop"


class Config(_Strict):
    """`tables`, `exclude` and `map` as in `Selection`. `columns`: policies by `schema.table.column`, or a pattern.
    `insert_only` and `table_options` as in `Wishes`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] = remedies.DEFAULT
    source: SecretStr | None = None
    target: SecretStr | None = None
    tables: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    map: dict[str, str] = Field(default_factory=dict)
    columns: dict[str, dict[str, str]] = Field(default_factory=dict)
    insert_only: tuple[str, ...] = ()
    table_options: dict[str, _TableOptions] = Field(default_factory=dict)
    publication: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] | None = None
    truncate: bool = False
    append: bool = False
    allow_untested: bool = False
    give_up_after: Annotated[float, Field(gt=0)] | None = None
    max_retained: Annotated[ByteSize, Field(gt=0)] | None = None
    log_format: Literal["text", "json"] = "text"

    @property
    def selection(self) -> Selection:
        return Selection(self.tables, self.exclude, self.map)

    @property
    def wishes(self) -> Wishes:
        by_table = {name: TableOptions(**chosen.model_dump()) for name, chosen in self.table_options.items()}
        return Wishes(by_table, self.insert_only)

    @property
    def objects(self) -> Objects:
        return Objects(self.publication, self.slot)

    def policies(self, known: Mapping[str, frozenset[str]]) -> ColumnPolicies:
        """The column policies by table. `known`: the policies of the target's engine. Raises UsageError."""
        found: list[Pattern] = []
        for path, chosen in self.columns.items():
            parts = path.split(".")
            if len(parts) != 3:
                raise UsageError(f'[columns."{path}"]: a column is named schema.table.column, with * in any of them')
            for policy, word in chosen.items():
                if word not in known.get(policy, ()):
                    options = ", ".join(f'{name} = "{w}"' for name, words in known.items() for w in sorted(words))
                    raise UsageError(
                        f'[columns."{path}"]: {policy} = "{word}" is not known',
                        remedy=f"this target has: {options or 'no policies'}",
                    )
            found.append(Pattern((parts[0], parts[1], parts[2]), dict(chosen)))
        return ColumnPolicies(found)


def load(file: Path | None, given: Mapping[str, Any], ends: Sequence[str] = ("source", "target")) -> Config:
    """The file's settings, and over them those `given` on the command line (None: not given). `ends`: what the command
    cannot do without.

    Raises UsageError, with the file and the key named.
    """
    where = str(file) if file else "command line"
    settings: dict[str, Any] = _read(file) if file else {}
    for key, value in given.items():
        if value is not None and value != () and value != {}:
            settings[key] = value
    try:
        config = Config(**settings)
    except ValidationError as error:
        raise UsageError("\n".join(_told(where, fault) for fault in error.errors(include_input=False))) from None
    for end in ends:
        if getattr(config, end) is None:
            raise UsageError(
                f"{where}: {end} is missing", remedy=f"give {end.upper()}, or {end} = ... in a --config file"
            )
    if config.truncate and config.append:
        raise UsageError("--truncate and --append exclude each other")
    if config.max_retained is not None and config.slot is not None:
        raise UsageError(
            f"{where}: max_retained gives up the stream's own slot, and {config.slot!r} is yours",
            remedy="leave one of them out; the server's own limit is max_slot_wal_keep_size",
        )
    return config


def _told(where: str, fault: Mapping[str, Any]) -> str:
    key = ".".join(map(str, fault["loc"])) or "(the whole)"
    if fault["type"] == "missing":
        return f"{where}: {key} is missing"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key {key}"
    return f"{where}: {key}: {fault['msg']}"


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the configuration file {file} cannot be read: {type(error).__name__}") from None
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: {error}") from None
    return {key: _expand(value, f"{file}: {key}") for key, value in settings.items()}


def _expand(value: Any, where: str) -> Any:
    """`${VARIABLE}` in any text is the environment's; a variable that is not set is an error."""
    if isinstance(value, str):

        def of_environment(match: re.Match[str]) -> str:
            try:
                return os.environ[match.group(1)]
            except KeyError:
                raise UsageError(f"{where}: the environment variable {match.group(1)} is not set") from None

        return _VARIABLE.sub(of_environment, value)
    if isinstance(value, list):
        return [_expand(item, where) for item in value]
    if isinstance(value, dict):
        return {key: _expand(item, f"{where}.{key}") for key, item in value.items()}
    return value


def password(role: Literal["SOURCE", "TARGET"]) -> str | None:
    """REPLICATOR_SOURCE_PASSWORD, or the content of the file that REPLICATOR_SOURCE_PASSWORD_FILE names.

    The file must be readable by its owner alone, and not a symbolic link.
    """
    variable = f"REPLICATOR_{role}_PASSWORD"
    if (value := os.environ.get(variable)) is not None:
        return value
    named = os.environ.get(f"{variable}_FILE")
    if named is None:
        return None
    path = Path(named)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{variable}_FILE: {path} cannot be read: {error.strerror}") from None
    with os.fdopen(handle) as opened:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise UsageError(f"{variable}_FILE: {path} can be read by others", remedy=f"chmod 600 '{path}'")
        return opened.read().rstrip("\n")
