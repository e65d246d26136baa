"""What a remedy tells a person to type: commands and settings, quoted for the place where they are pasted."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

NAMED = 20
"""How many tables one message names."""

DEFAULT = "default"
"""The name of a stream that was given none."""
_ENDS = re.compile(r"(\breplicator (?:check|sync|backfill|recopy|drop)(?: --config FILE)? SOURCE TARGET)(?! --name)")


def named(tables: Sequence[object]) -> str:
    shown = ", ".join(map(str, tables[:NAMED]))
    return shown if len(tables) <= NAMED else f"{shown} and {len(tables) - NAMED:,} more"


def shell(word: object) -> str:
    """One argument of a command."""
    quoted = str(word).replace("'", "'\\''")
    return f"'{quoted}'"


def recopy(*tables: object, options: str = "") -> str:
    return " ".join(("replicator recopy" + options, "SOURCE TARGET", *map(shell, tables)))


def section(*path: object) -> str:
    """The head of a table in the configuration file: [columns."public.t.x"]."""
    first, *rest = map(str, path)
    # TOML's basic strings are written as JSON's are.
    return f"[{'.'.join((first, *(json.dumps(part, ensure_ascii=False) for part in rest)))}]"


def of_stream(remedy: str, name: str) -> str:
    """The commands in it, for a stream that is not the default one."""
    return remedy if name == DEFAULT else _ENDS.sub(rf"\1 --name {name}", remedy)
