"""Is a server new enough, and was this program run on one of its kind?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from replicator.engine import Finding
from replicator.engines.mysql.flavor import Flavor, Version


def findings(end: Literal["source", "target"], flavor: Flavor, version: Version) -> Iterator[Finding]:
    shown = f"the {end} is {flavor.name} {version[0]}.{version[1]}"
    if version < flavor.oldest:
        oldest = f"{flavor.name} {flavor.oldest[0]}.{flavor.oldest[1]}"
        why = f"its log says too little before {oldest}" if end == "source" else f"{oldest} or newer is needed"
        yield Finding("refuse", f"{shown}; {why}", "upgrade it")
    elif version[0] not in flavor.known:
        yield Finding("untested", f"unknown version: {shown}")
    elif version not in flavor.tested:
        yield Finding("warn", f"untested version: {shown}")
