"""The text in which a ledger keeps a table's shape. Read back through a validator: a ledger is input, too."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from replicator.errors import Refused
from replicator.model.datatypes import DataType
from replicator.model.options import TableOptions
from replicator.model.schema import Column, Constant, Name, Table, UniqueIndex


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Constant(_Saved):
    text: str | None


class _Column(_Saved):
    name: str
    type: Annotated[DataType, Field(discriminator="kind")]
    nullable: bool
    native: str
    native_name: str
    number: int
    default: _Constant | None = None
    collation: str = ""


class _Unique(_Saved):
    name: str
    columns: tuple[str, ...]


class _Shape(_Saved):
    id: str
    key: tuple[str, ...]
    columns: tuple[_Column, ...]
    uniques: tuple[_Unique, ...]
    left_out: tuple[str, ...] = ()


class _Options(_Saved):
    insert_only: bool = False
    digest_column: bool = False
    allow_triggers: bool = False
    on_conflict: Literal["stop", "overwrite"] = "stop"


_POLICIES = TypeAdapter(dict[str, dict[str, str]])


def save_shape(table: Table) -> str:
    return _Shape(
        id=table.id,
        key=table.key,
        columns=tuple(
            _Column(
                name=c.name,
                type=c.type,
                nullable=c.nullable,
                native=c.native,
                native_name=c.native_name,
                number=c.number,
                default=None if c.default is None else _Constant(text=c.default.text),
                collation=c.collation,
            )
            for c in table.columns
        ),
        uniques=tuple(_Unique(name=u.name, columns=u.columns) for u in table.uniques),
        left_out=table.left_out,
    ).model_dump_json()


def load_shape(name: Name, text: str) -> Table:
    """Raises Refused for a text that no version of ours has written."""
    try:
        shape = _Shape.model_validate_json(text)
    except ValidationError as error:
        raise _damaged(name, error) from error
    return Table(
        name,
        tuple(_column(c) for c in shape.columns),
        shape.key,
        shape.id,
        tuple(UniqueIndex(u.name, u.columns) for u in shape.uniques),
        shape.left_out,
    )


def _column(saved: _Column) -> Column:
    default = None if saved.default is None else Constant(saved.default.text)
    return Column(
        saved.name,
        saved.type,
        saved.nullable,
        saved.native,
        saved.native_name,
        saved.number,
        default,
        saved.collation,
    )


def load_policies(name: Name, text: str) -> dict[str, dict[str, str]]:
    try:
        return _POLICIES.validate_json(text)
    except ValidationError as error:
        raise _damaged(name, error) from error


def load_options(name: Name, text: str) -> TableOptions:
    try:
        return TableOptions(**_Options.model_validate_json(text).model_dump())
    except ValidationError as error:
        raise _damaged(name, error) from error


def _damaged(name: Name, error: ValidationError) -> Refused:
    return Refused(
        f"the ledger's row for {name} cannot be read ({error.error_count()} faults in it)",
        remedy="restore the bookkeeping tables from a backup, or start anew under another --name with empty tables",
    )
