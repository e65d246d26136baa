"""What a statement in the log means to a stream that follows rows.

With `binlog_format=ROW` rows come as rows. Statements frame transactions, or change schemas, or are administration. A
statement is never executed: its words are looked at, and what may touch a followed table and is not known to be
harmless stops the stream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from replicator.engines.mysql.binlog import Query, Xid
from replicator.engines.mysql.charsets import decoder_of
from replicator.errors import NotUnderstood

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>--[\x00-\x20][^\n]*|\#[^\n]*|/\*(?!M?!).*?\*/)
    |(?P<hint>/\*M?!\d*|\*/)
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<text>[nNxXbB]?'(?:[^'\\]|''|\\.)*'|"(?:[^"\\]|""|\\.)*")
    |(?P<word>[\w$\x80-\U0010ffff]+)
    |(?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
"""https://dev.mysql.com/doc/refman/9.7/en/language-structure.html. What stands in a version comment (`/*!50100 ... */`)
is part of the statement."""

_XID = re.compile(r"X'([0-9a-f]*)'(?:\s*,\s*X'([0-9a-f]*)'(?:\s*,\s*(\d+))?)?", re.IGNORECASE)
Frame = Literal["begin", "commit", "rollback", "savepoint", "rollback to", "xa start", "xa end"]
_ROWS = frozenset(re.findall(r"\w+", "INSERT UPDATE DELETE REPLACE LOAD CALL WITH DO MERGE SELECT HANDLER"))
_NEVER_ROWS = frozenset(
    re.findall(r"\w+", "GRANT REVOKE SET FLUSH RESET ANALYZE OPTIMIZE REPAIR CHECK INSTALL UNINSTALL USE")
)
_WITHOUT_TABLE = frozenset(
    re.findall(
        r"\w+",
        "USER ROLE FUNCTION PROCEDURE TRIGGER EVENT VIEW SERVER TABLESPACE LOGFILE INSTANCE RESOURCE PACKAGE UNDO "
        "SPATIAL LIBRARY",
    )
)
"""What CREATE, ALTER and DROP act on without touching rows. (CREATE SPATIAL REFERENCE SYSTEM; the index is below.)"""
_TABLE_WORDS = frozenset(("TABLE", "TABLES", "INDEX"))
_INDEX_CLAUSE = frozenset(("INDEX", "KEY", "FULLTEXT"))


@dataclass(frozen=True)
class Framing:
    """Begins or ends a transaction, or a part of one. `name`: of the savepoint."""

    what: Frame
    name: str = ""


@dataclass(frozen=True)
class XaEnd:
    """The second phase of an XA transaction. `xid`: as the server writes it."""

    commit: bool
    xid: str


@dataclass(frozen=True)
class Emptied:
    """TRUNCATE TABLE."""

    database: str
    table: str


@dataclass(frozen=True)
class RowStatement:
    """A statement in place of rows: nobody can say which rows it has changed."""

    verb: str


@dataclass(frozen=True)
class SchemaStatement:
    """May change the shape or the rows of these tables. `words`: its first ones, for a message."""

    words: str
    names: frozenset[tuple[str, str]]
    databases: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Harmless:
    """Touches no row and no shape."""


Meaning = Framing | XaEnd | Emptied | RowStatement | SchemaStatement | Harmless
HARMLESS = Harmless()


@dataclass(frozen=True)
class Token:
    """A word in capitals (`name` False) or an identifier as it is; marks are words of one character."""

    text: str
    raw: str
    quoted: bool

    def is_word(self, *words: str) -> bool:
        return not self.quoted and self.text in words


def text_of(query: Query) -> str:
    """The statement, by the character set of the client that sent it. Raises NotUnderstood."""
    try:
        return query.statement.decode() if query.collation is None else decoder_of(query.collation)(query.statement)
    except ValueError:
        raise NotUnderstood("a statement in the log is not in the character set of its client") from None


def tokens(statement: str) -> list[Token]:
    return list(_tokens(statement))


def _tokens(statement: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(statement):
        kind, raw = match.lastgroup, match.group()
        if kind == "quoted":
            yield Token(raw[1:-1].replace("``", "`"), raw[1:-1].replace("``", "`"), True)
        elif kind == "text" and raw[0] == '"':  # an identifier, where ANSI_QUOTES is in the sql_mode
            yield Token(raw[1:-1].replace('""', '"'), raw[1:-1].replace('""', '"'), True)
        elif kind == "text":
            yield Token(raw, raw, False)
        elif kind in ("word", "mark"):
            yield Token(raw.upper(), raw, False)


def meaning(statement: str, database: str) -> Meaning:
    """`database`: the default one of the session that ran it."""
    found = tokens(statement)
    if not found:
        return HARMLESS
    words = [token.text if not token.quoted else "" for token in found[:4]] + [""] * 4
    first, second = words[0], words[1]
    match first:
        case "BEGIN" | "START":
            return Framing("begin")
        case "COMMIT":
            return Framing("commit")
        case "SAVEPOINT":
            return Framing("savepoint", _name(found, 1))
        case "ROLLBACK":
            if "TO" in words:
                at = words.index("TO") + 1
                return Framing("rollback to", _name(found, at + (words[at] == "SAVEPOINT")))
            return Framing("rollback")
        case "RELEASE":
            return HARMLESS
        case "XA":
            return _xa(second, statement)
        case "TRUNCATE":
            schema, table = _qualified(found, 1 + (second == "TABLE"), database)
            return Emptied(schema, table)
    if first in _NEVER_ROWS:
        return HARMLESS
    if first in _ROWS:
        return RowStatement(first)
    return _schema(found, words, database)


def _name(found: Sequence[Token], at: int) -> str:
    return found[at].raw if at < len(found) else ""


def _xa(verb: str, statement: str) -> Meaning:
    if verb in ("START", "BEGIN"):
        return Framing("xa start")
    if verb == "END":
        return Framing("xa end")
    if verb in ("COMMIT", "ROLLBACK"):
        return XaEnd(verb == "COMMIT", str(xid(statement)))
    return HARMLESS


def xid(statement: str) -> Xid:
    """The name in an XA statement, as the servers write it into the log: both ids in hexadecimal, then the format.

    Raises NotUnderstood.
    """
    match = _XID.search(statement)
    if match is None:
        raise NotUnderstood("an XA statement in the log has no name that can be read")
    return Xid(int(match[3] or 1), bytes.fromhex(match[1]), bytes.fromhex(match[2] or ""))


def _qualified(found: Sequence[Token], at: int, database: str) -> tuple[str, str]:
    first = _name(found, at)
    if at + 2 < len(found) and found[at + 1].is_word("."):
        return first, found[at + 2].raw
    return database, first


def _schema(found: Sequence[Token], words: Sequence[str], database: str) -> Meaning:
    """CREATE, ALTER, DROP, RENAME, and what is not known here: then every name in it may be a table's."""
    shown = " ".join(word for word in words[:2] if word)
    if words[0] not in ("CREATE", "ALTER", "DROP", "RENAME"):
        return SchemaStatement(shown, frozenset(_mentioned(found, database)))
    at, kind = _object(found)
    if kind in ("DATABASE", "SCHEMA"):
        at += 2 if _next_is(found, at, "IF") else 0
        return SchemaStatement(shown, frozenset(), frozenset((_name(found, at),))) if words[0] == "DROP" else HARMLESS
    temporary = "TEMPORARY" in (words[1], words[3] if words[1:3] == ["OR", "REPLACE"] else "")
    if kind in _WITHOUT_TABLE or temporary or _only_indexes(found, words):
        return HARMLESS
    if words[0] == "CREATE" and kind == "TABLE":
        # A followed table is there already, so without REPLACE the statement has done nothing, or has failed.
        if "REPLACE" not in words[1:3] and _next_is(found, at, "IF"):
            return HARMLESS
        at += 3 if _next_is(found, at, "IF") else 0
        return SchemaStatement(shown, frozenset((_qualified(found, at, database),)))
    if words[0] == "ALTER" and kind == "TABLE":
        at += 2 if _next_is(found, at, "IF") else 0
        return SchemaStatement(shown, frozenset((_qualified(found, at, database), *_others(found, at, database))))
    return SchemaStatement(shown, frozenset(_mentioned(found, database)))


def _object(found: Sequence[Token]) -> tuple[int, str]:
    """The word that says what kind of thing it is about, and where the name behind it stands."""
    for at, token in enumerate(found[1:16], 1):
        if token.is_word(*_WITHOUT_TABLE, *_TABLE_WORDS, "DATABASE", "SCHEMA"):
            if token.text == "SPATIAL" and _next_is(found, at + 1, "INDEX"):
                continue
            return at + 1, token.text
    return 1, ""


def _next_is(found: Sequence[Token], at: int, word: str) -> bool:
    return at < len(found) and found[at].is_word(word)


def _others(found: Sequence[Token], after: int, database: str) -> Iterator[tuple[str, str]]:
    """Tables that an ALTER TABLE names behind its own: a new name, and one that gives its rows for a partition's."""
    for at in range(after + 1, len(found) - 1):
        if found[at].is_word("TABLE", "TO", "AS", "RENAME"):
            yield _qualified(found, at + 1, database)


def _only_indexes(found: Sequence[Token], words: Sequence[str]) -> bool:
    """Does it make or remove an index, and nothing else? No row and no column changes by that."""
    if words[0] in ("CREATE", "DROP"):
        return "INDEX" in words[1:4] and not any(t.is_word("TABLE") for t in found[:6])
    if words[0] != "ALTER" or words[1] != "TABLE":
        return False
    at = 5 if len(found) > 3 and found[3].is_word(".") else 3
    clause = found[at : at + 3]
    alone = _top_level_commas(found[at:]) == 0
    return (
        alone
        and len(clause) > 1
        and clause[0].is_word("ADD", "DROP", "RENAME")
        and any(t.is_word(*_INDEX_CLAUSE) for t in clause[1:2])
    ) or (
        alone
        and len(clause) > 2
        and clause[0].is_word("ADD")
        and clause[1].is_word("UNIQUE", "FULLTEXT", "SPATIAL")
        and clause[2].is_word("INDEX", "KEY")
    )


def _top_level_commas(found: Sequence[Token]) -> int:
    depth = commas = 0
    for token in found:
        depth += token.is_word("(") - token.is_word(")")
        commas += depth == 0 and token.is_word(",")
    return commas


def _mentioned(found: Sequence[Token], database: str) -> Iterator[tuple[str, str]]:
    """Every name that stands in the statement, alone and with the one before its dot."""
    for at, token in enumerate(found):
        if not (token.quoted or re.match(r"[\w$\x80-\U0010ffff]", token.raw)):
            continue
        if at >= 2 and found[at - 1].is_word("."):
            yield found[at - 2].raw, token.raw
        yield database, token.raw


def touched(statement: SchemaStatement, tables: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Which of these tables it may touch. Names are compared without case: a server may take them so."""
    names = {(schema.casefold(), name.casefold()) for schema, name in statement.names}
    databases = {name.casefold() for name in statement.databases}
    return [
        (schema, name)
        for schema, name in tables
        if (schema.casefold(), name.casefold()) in names or schema.casefold() in databases
    ]
