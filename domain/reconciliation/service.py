"""The reconciliation of one provider's books with ours."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.clock import SECOND
from domain.ids import canonical_uuid
from domain.payments import BooksListing, PaymentGateway, ProviderBooks, ProviderEntry
from domain.reconciliation import walk as walks
from domain.reconciliation.differences import Finding
from domain.reconciliation.findings import FINDINGS_PAGE_MAX, Changes, open_findings, store
from domain.reconciliation.judging import Verdict, judge
from domain.reconciliation.mending import mend
from domain.reconciliation.ours import OurPage, OurPayment, active_page, ended_page, known_sagas, ours_by_references
from domain.reconciliation.walk import SINCE_SECONDS_DEFAULT, YOUNG_SECONDS, Phase, Walk
from domain.storage import Database

__all__ = ["Reconciliation", "Tally"]

#: The provider's clock may be behind ours by so much: its windows begin earlier.
SKEW_SECONDS: Final = 60
#: From so many on, our payments are looked for in the provider's list, on at most so many pages.
LISTED_MIN: Final = 5
LISTED_PAGES_MAX: Final = 3
#: A saga in flight for longer than this is looked at again and again.
ACTIVE_SECONDS_MIN: Final = 86_400
_LISTED: Final = {
    Phase.PAYMENTS: BooksListing.PAYMENTS,
    Phase.REFUNDS: BooksListing.REFUNDS,
    Phase.DISPUTES: BooksListing.DISPUTES,
    Phase.CHANGES: BooksListing.CHANGES,
}
_logger = logging.getLogger("seatsaga.reconciliation")


@dataclass(slots=True)
class Tally:
    """What a walk came to. `unsettled`: payments that were left, as their sagas have not ended or just have."""

    payments: int = 0
    unsettled: int = 0
    new: list[Finding] = field(default_factory=list)
    ended: list[Finding] = field(default_factory=list)
    mended: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Page:
    """What the provider and we have of some payments. `entries`: theirs, by reference."""

    references: Sequence[str]
    entries: Mapping[str, ProviderEntry]
    after: str | None


class Reconciliation:
    """Compares the books that `books` opens with the payments in `database`, and mends by `gateway`.

    `may_ask`: whether the provider may be asked now; it is asked before each page, and before each payment that is
    mended. Raises BooksUnreadError, with everything stored that was looked at before.
    """

    def __init__(
        self,
        database: Database,
        gateway: PaymentGateway,
        books: Callable[[], AbstractAsyncContextManager[ProviderBooks]],
        *,
        may_ask: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._books = books
        self._may_ask = may_ask

    async def turn(self) -> int:
        """One turn of the job: go on with the durable walk until a page had payments, and mend what was found there.

        Returns how many payments were looked at; 0: the walk is over, another replica is at it, or the provider may
        not be asked now.
        """
        tally = Tally()
        while not tally.payments and self._may_ask():
            walk = await self._claim()
            if walk is None:
                break
            try:
                async with self._books() as books:
                    changes, _ = await self._look(books, walk, tally, is_durable=True)
            except BaseException:
                await self._database.write(lambda connection: walks.release(connection, self._gateway.name))
                raise
            await self._mend(changes, tally)
        return tally.payments

    async def walk(self, since: int | None, *, mends: bool, asked: Asked | None = None) -> Tally:
        """Go at once through all that happened from `since` on, in microseconds; None: since the job's walk began.

        What is found is stored; the job's walk stays where it is. The newest minutes are left here too. `asked`: the
        operator, who is on the record for what is mended.
        """
        tally = Tally()
        walk = await self._database.read(lambda connection: self._begin(connection, since))
        async with self._books() as books:
            while walk.phase is not None:
                changes, walk = await self._look(books, walk, tally, is_durable=False)
                if mends:
                    await self._mend(changes, tally, asked)
        return tally

    # ------------------------------------------------------------------ a page

    async def _look(self, books: ProviderBooks, walk: Walk, tally: Tally, *, is_durable: bool) -> tuple[Changes, Walk]:
        """Look at the walk's next page, and store what was found; the walk behind it."""
        # Before the provider is asked: a saga that ends after this moment is not settled.
        asked_at = await self._now()
        page = await self._page(books, walk)
        onward = walk.onward(page.after)
        verdicts = await self._judge(page, asked_at)

        async def work(connection: AsyncConnection) -> Changes:
            now = await self._database.clock.now(connection)
            changes = await store(connection, books.provider, verdicts, at=now)
            if is_durable:
                await walks.move(connection, books.provider, walk, onward, now=now)
            return changes

        changes = await self._database.write(work) if verdicts or is_durable else Changes()
        tally.payments += len(verdicts)
        tally.unsettled += sum(not verdict.is_settled for verdict in verdicts)
        tally.new += changes.new
        tally.ended += changes.ended
        _say(changes)
        return changes, onward

    async def _page(self, books: ProviderBooks, walk: Walk) -> _Page:
        """The page at which the walk stands, from the side that the phase begins with."""
        if walk.phase in _LISTED:
            since = max(0, walk.since - SKEW_SECONDS * SECOND)
            listed = await books.page(_LISTED[walk.phase], since=since, until=walk.until, after=walk.after)
            entries = {entry.reference: entry for entry in listed.entries}
            return _Page(list(entries), entries, listed.after)
        ours = await self._database.read(lambda connection: self._ours(connection, walk))
        return _Page(list(ours.created_at), await _entries_of(books, ours, walk), ours.after)

    async def _ours(self, connection: AsyncConnection, walk: Walk) -> OurPage:
        """The page of a phase that begins with ours."""
        provider = self._gateway.name
        match walk.phase:
            case Phase.OURS:
                return await ended_page(connection, provider, since=walk.since, until=walk.until, after=walk.after)
            case Phase.ACTIVE:
                before = walk.until - ACTIVE_SECONDS_MIN * SECOND
                return await active_page(connection, provider, started_before=before, after=walk.after)
            case _:
                found = await open_findings(connection, provider, after=walk.after, limit=FINDINGS_PAGE_MAX)
                after = found[-1].id if len(found) == FINDINGS_PAGE_MAX else None
                return OurPage(dict.fromkeys((finding.reference for finding in found), 0), after)

    async def _judge(self, page: _Page, asked_at: int) -> list[Verdict]:
        """Judge each payment of the page by our side, which is read now: after the provider's."""

        async def work(connection: AsyncConnection) -> tuple[Mapping[str, OurPayment], set[str]]:
            ours = await ours_by_references(connection, self._gateway.name, page.references)
            strange = {
                entry.correlation_id
                for reference, entry in page.entries.items()
                if reference not in ours and entry.correlation_id and canonical_uuid(entry.correlation_id)
            }
            return ours, await known_sagas(connection, strange) if strange else set()

        ours, known = await self._database.read(work) if page.references else ({}, set())
        verdicts = []
        for reference in page.references:
            entry, its = page.entries.get(reference), ours.get(reference)
            is_known = entry is not None and entry.correlation_id in known
            verdicts.append(judge(reference, entry, its, asked_at=asked_at, is_known_saga=is_known))
        return verdicts

    # ------------------------------------------------------------------ mend

    async def _mend(self, changes: Changes, tally: Tally, asked: Asked | None = None) -> None:
        for finding in changes.mendable:
            if self._may_ask() and await mend(self._database, self._gateway, finding, asked):
                tally.mended.append(finding)

    # ------------------------------------------------------------------ the walk

    async def _claim(self) -> Walk | None:
        async def work(connection: AsyncConnection) -> Walk | None:
            now = await self._database.clock.now(connection)
            return await walks.claim(connection, self._gateway.name, now=now)

        return await self._database.write(work)

    async def _begin(self, connection: AsyncConnection, since: int | None) -> Walk:
        now = await self._database.clock.now(connection)
        if since is None:
            since = await walks.begun_at(connection, self._gateway.name)
        until = now - YOUNG_SECONDS * SECOND
        return Walk(until - SINCE_SECONDS_DEFAULT * SECOND if since is None else min(since, until), until)

    async def _now(self) -> int:
        return await self._database.read(self._database.clock.now)


async def _entries_of(books: ProviderBooks, ours: OurPage, walk: Walk) -> Mapping[str, ProviderEntry]:
    """The provider's entries of our payments.

    Those that were made in the walk's window lie together in the provider's list: a page of it costs one request, and
    so does each payment that is asked for by its reference.
    """
    recent = [at for at in ours.created_at.values() if walk.since <= at < walk.until]
    found: dict[str, ProviderEntry] = {}
    if len(recent) >= LISTED_MIN:
        since, until = min(recent) - SKEW_SECONDS * SECOND, max(recent) + SKEW_SECONDS * SECOND
        after: str | None = None
        for _ in range(LISTED_PAGES_MAX):
            page = await books.page(BooksListing.PAYMENTS, since=max(0, since), until=until, after=after)
            found |= {entry.reference: entry for entry in page.entries if entry.reference in ours.created_at}
            after = page.after
            if after is None:
                break
    missing = [reference for reference in ours.created_at if reference not in found]
    return {**found, **await books.entries(missing)} if missing else found


def _say(changes: Changes) -> None:
    """One line for each difference when it is first seen, and one when it is gone."""
    for finding in changes.new:
        _logger.warning(
            "The provider's books differ: %s, payment %s, saga %s, %s at stake. %s (%s)",
            *(finding.kind.value, finding.reference, finding.correlation_id or "unknown", finding.at_stake),
            *(finding.kind.sentence, finding.detail),
        )
    for finding in changes.ended:
        _logger.info("The provider's books agree again: %s, payment %s.", finding.kind.value, finding.reference)
