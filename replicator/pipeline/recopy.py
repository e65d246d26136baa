"""`recopy`: copy tables of a stopped stream again, or all of them under a new slot. The stream goes on with `sync`.

The set of followed tables and their places are the ledger's: this command changes what is at the target, and nothing of
what is followed. The settings of a table that is copied again are the ledger's too, or those of a configuration file.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from replicator import remedies
from replicator.engine import Finding, Objects, Source, Target
from replicator.errors import PositionLost, Refused, Unfinished
from replicator.model.options import Wishes
from replicator.model.policies import concrete
from replicator.model.schema import Name
from replicator.model.selection import Exactly, matches
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.choosing import PENDING, choose
from replicator.pipeline.preflight import admit
from replicator.pipeline.sync import Sync, is_stream, objects

log = logging.getLogger("replicator")


class Recopy(Sync):
    """`Options.recopy` has the patterns; without one everything is copied, and the slot is made anew."""

    _wanted: frozenset[Name] = frozenset()
    _renewed = False

    def copied(self) -> list[Name]:
        """Run it; returns the tables that were copied."""
        self._until_done()
        live = {followed.table.name for followed in self._tables if followed.phase == "live"}
        left = sorted(str(name) for name in self._wanted - live)
        if left or not self._wanted:
            raise Unfinished(
                f"stopped before everything was copied; left: {', '.join(left) or 'all of them'}",
                remedy="run it again; or `replicator sync`, which copies them and goes on",
            )
        return sorted(self._wanted)

    def _work(self, source: Source, target: Target) -> None:
        name, everything = self._options.name, not self._options.recopy
        known = target.ledger.peek(name)
        if known is None:
            raise Refused(
                f"there is no stream {name!r} at the target",
                remedy="`replicator status TARGET` lists the streams; --name chooses one; `replicator sync` makes one",
            )
        is_stream(known)
        try:
            source.recognise(known.source)
        except PositionLost:
            if not everything:
                raise
        tables, gone = self._again(source, target, known)
        target.open(name)
        given = Objects(known.identity.publication, known.identity.slot)
        state = target.ledger.claim(name, source.identity(), given, gone if everything else (), held=self._epoch)
        self._hold(known, state)
        if everything and state.phase == "streaming" and not self._renewed:
            source.drop(state.identity)
            state = target.ledger.renew(source.identity())
            self._renewed = True
        if state.phase == "preparing":
            self._first(source, target, state, tables)
        else:
            self._resume(source, target, state, tables)

    def _again(self, source: Source, target: Target, known: StreamState) -> tuple[list[Followed], list[Name]]:
        """The stream's tables, those to copy as `returning`; and those that are gone from the source."""
        followed = {name: old for name, old in known.tables.items() if old.phase != "left"}
        # What a column is may depend on its policies.
        policies = {name: old.policies for name, old in followed.items() if old.policies}
        listing = source.catalog.tables(Exactly(places={name: name for name in followed}), policies)
        there = {table.name: table for table in listing.tables}
        wanted = self._matching(source, known, followed) or frozenset(followed)
        gone = sorted(wanted.difference(there))
        if gone and self._options.recopy:
            raise Refused(
                f"not at the source any more: {', '.join(map(str, gone))}",
                remedy=f"follow the others: replicator sync SOURCE TARGET --exclude {remedies.shell(gone[0])}",
            )
        for name in gone:
            log.warning("%s is gone from the source, and not followed any more; its copy stays as it is", name)
        self._wanted = wanted.intersection(there)
        # What else is gone from the source is left for `sync` to stop at.
        others = [
            replace(old, table=there[name]) if old.phase in PENDING else old
            for name, old in followed.items()
            if name in there and name not in wanted
        ]
        return self._chosen(source, target, known, followed) + others, gone

    def _chosen(
        self, source: Source, target: Target, known: StreamState, followed: Mapping[Name, Followed]
    ) -> list[Followed]:
        again = {name: followed[name] for name in self._wanted}
        if self._options.own_settings:
            schema, given = source.catalog.default_schema, self._options
            again = {
                name: replace(
                    old,
                    policies=concrete(given.policies.get(name, {}), old.table.names),
                    options=given.wishes.of(name, schema),
                )
                for name, old in again.items()
            }
        options = replace(
            self._options,
            selection=Exactly(places={name: old.target for name, old in again.items()}),
            policies={name: old.policies for name, old in again.items() if old.policies},
            wishes=Wishes({str(name): old.options for name, old in again.items()}),
            restart=True,
        )

        def ready(fresh: Sequence[Followed]) -> list[Finding]:
            given = Objects(known.identity.publication, known.identity.slot)
            return source.findings(fresh, objects(options, known) if self._options.recopy else given)

        choice = choose(source, target, self._target_end.engine.places, options, known, ready)
        admit(choice.findings)
        return choice.tables

    def _matching(self, source: Source, known: StreamState, followed: Collection[Name]) -> frozenset[Name]:
        if not self._options.recopy:
            return frozenset()
        if known.phase == "preparing":
            raise Refused(
                f"the first copy of stream {known.identity.name!r} has not begun; there is nothing to copy again",
                remedy="run `replicator sync`; or copy everything: replicator recopy SOURCE TARGET --all",
            )
        schema = source.catalog.default_schema
        for pattern in self._options.recopy:
            if not any(matches((pattern,), name, schema) for name in followed):
                raise Refused(
                    f"no followed table matches {pattern!r}",
                    remedy=f"stream {known.identity.name!r} follows " + ", ".join(sorted(map(str, followed))[:20]),
                )
        return frozenset(name for name in followed if matches(self._options.recopy, name, schema))

    def _guarded(self, state: StreamState, tables: Sequence[Followed]) -> Mapping[Name, Followed]:
        """The log is checked by its position alone: a table that it has lost is a reason to be here."""
        return {}
