"""Which source tables are followed, and where each lands."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from replicator import remedies
from replicator.errors import Refused
from replicator.model.schema import Name


@dataclass(frozen=True)
class Places:
    """How a target arranges tables: what a name may be there, and which names are taken for one another."""

    default_schema: str
    schemas: bool
    """Has it schemas beside the default one?"""
    name_bytes: int | None
    """How many bytes of a name it keeps; None for no limit."""
    fold: Callable[[str], str] = str
    """The form under which two names are the same place."""
    reserved: tuple[str, ...] = ()
    """Beginnings of names that are the server's or ours."""
    barred: Callable[[str], str] = lambda name: ""
    """Why a name cannot be there, empty where it can."""


@dataclass(frozen=True)
class Selection:
    """Patterns are `schema.table` with `*`; one without a dot names a table of the source's default schema."""

    patterns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)

    def includes(self, name: Name, default_schema: str) -> bool:
        """Is the table followed? Without patterns: every table of the default schema."""
        patterns = self.patterns or (f"{default_schema}.*",)
        return matches(patterns, name, default_schema) and not matches(self.exclude, name, default_schema)

    def land(self, names: Iterable[Name], default_schema: str, places: Places) -> dict[Name, Name]:
        """Where each table lands.

        Raises Refused where two would land in one place, or where the target would cut or not allow a name.
        """
        names = list(names)
        landed: dict[Name, Name] = {}
        taken: dict[tuple[str, str], Name] = {}
        explicit = {qualify(old, default_schema): new for old, new in self.mapping.items()}
        unknown = sorted(set(explicit) - {str(name) for name in names})
        if unknown:
            raise Refused(
                f"the map names {', '.join(unknown)}, which is not a followed table",
                remedy="correct the name in --map or [map]; it is written schema.table",
            )
        for name in names:
            target = self._place(name, explicit.get(str(name)), default_schema, places)
            _admit(name, target, places)
            place = (places.fold(target.schema), places.fold(target.name))
            if place in taken:
                raise Refused(
                    f"{taken[place]} and {name} would both land in {target.name!r}",
                    remedy=f"give one of them another name: --map {remedies.shell(f'{name}=other_name')}",
                )
            taken[place] = name
            landed[name] = target
        return landed

    @staticmethod
    def _place(name: Name, mapped: str | None, default_schema: str, places: Places) -> Name:
        if mapped is not None:
            schema, dot, own = mapped.rpartition(".")
            if dot and places.schemas:
                return Name(schema, own)
            return Name(places.default_schema, mapped)
        if name.schema == default_schema:
            return Name(places.default_schema, name.name)
        if places.schemas:
            return name
        return Name(places.default_schema, f"{name.schema}__{name.name}")


def _admit(name: Name, target: Name, places: Places) -> None:
    for part in target if places.schemas else (target.name,):
        if "\0" in part or not part:
            raise Refused(f"{name} would land under a name that is empty or has a NUL byte")
        if places.name_bytes is not None and len(part.encode()) > places.name_bytes:
            raise Refused(
                f"{name} would land in {part!r}, and the target keeps only {places.name_bytes} bytes of a name",
                remedy=f"--map {remedies.shell(f'{name}=a_shorter_name')}",
            )
    if why := places.barred(target.name):
        raise Refused(
            f"{name} would land in {target.name!r}: {why}",
            remedy=f"--map {remedies.shell(f'{name}=another_name')}",
        )
    if target.name.lower().startswith(places.reserved):
        raise Refused(
            f"{name} would land in {target.name!r}, a name kept for bookkeeping at the target",
            remedy=f"--map {remedies.shell(f'{name}=another_name')}",
        )


def qualify(pattern: str, default_schema: str) -> str:
    """A name or pattern without a dot is one of the default schema."""
    return pattern if "." in pattern else f"{default_schema}.{pattern}"


def matches(patterns: Iterable[str], name: Name, default_schema: str) -> bool:
    return any(_expression(qualify(pattern, default_schema)).fullmatch(str(name)) for pattern in patterns)


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)


@dataclass(frozen=True)
class Exactly(Selection):
    """These tables and no pattern: a stream's own, each where it has landed."""

    places: Mapping[Name, Name] = field(default_factory=dict)

    def includes(self, name: Name, default_schema: str) -> bool:
        return name in self.places

    def land(self, names: Iterable[Name], default_schema: str, places: Places) -> dict[Name, Name]:
        return {name: self.places[name] for name in names}
