"""The examination of a database by `doctor`, and by `restore` before it replaces the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from app import migrations
from app.payment_gateways import payment_gateway
from app.provider_books import provider_books
from app.scheduler import EXPIRY_JOB, known_jobs
from app.settings import Settings
from domain.audit import Examination, SweepSchedule, examine
from domain.jobs import Jobs
from domain.payments import BooksListing, ProviderBooks, ProviderEntry
from domain.storage import Bounds, Database
from sandbox import books_beside
from sandbox.reading import reading

__all__ = ["examine_database"]

#: After everything in any books.
FOREVER: Final = 2**62
#: An aggregate over a large table takes longer than any statement of a request may.
_BOUNDS: Final = Bounds(2, statement_seconds=300.0, idle_transaction_seconds=None)


async def examine_database(settings: Settings, url: str, *, asks_provider: bool = False) -> Examination:
    """Check every invariant of the database at `url`, and of the sandbox's books beside it.

    `asks_provider`: also of Stripe's books, page by page. Raises SchemaError, BooksUnreadError.
    """
    await migrations.require_current(url)
    async with AsyncExitStack() as stack:
        database = Database(url, bounds=_BOUNDS)
        stack.push_async_callback(database.close)
        books: ProviderBooks | None = None
        if settings.payments != "sandbox" and asks_provider:
            gateway = payment_gateway(settings)
            await gateway.start()
            stack.push_async_callback(gateway.close)
            books = WholeBooks(await stack.enter_async_context(provider_books(gateway)))
        elif settings.payments == "sandbox":
            books = await stack.enter_async_context(reading(books_beside(database.url)))
        return await examine(database, books=books, sweep=await _sweep(settings, database))


class WholeBooks:
    """All of a provider's books, listed once when something in them is first looked up.

    A page lists a hundred payments at the price of one request.
    """

    def __init__(self, books: ProviderBooks) -> None:
        self.provider = books.provider
        self.page = books.page
        self._books = books
        self._listed: dict[str, ProviderEntry] | None = None

    async def entries(self, references: Sequence[str]) -> Mapping[str, ProviderEntry]:
        """The entries of these references; those that are not listed are asked for."""
        if self._listed is None and references:
            self._listed = await self._list()
        listed = self._listed or {}
        found = {reference: listed[reference] for reference in references if reference in listed}
        missing = [reference for reference in references if reference not in listed]
        return {**found, **await self._books.entries(missing)} if missing else found

    async def _list(self) -> dict[str, ProviderEntry]:
        listed: dict[str, ProviderEntry] = {}
        after, has_more = None, True
        while has_more:
            page = await self._books.page(BooksListing.PAYMENTS, since=0, until=FOREVER, after=after)
            listed |= {entry.reference: entry for entry in page.entries}
            after, has_more = page.after, page.after is not None
        return listed


async def _sweep(settings: Settings, database: Database) -> SweepSchedule:
    """The schedule of the sweep of lapsed holds: as operators have set it, else as in the settings."""
    jobs = await Jobs(database, known_jobs(settings.expiry_interval_seconds)).all()
    job = next(job for job in jobs if job.id == EXPIRY_JOB)
    return SweepSchedule(job.interval_seconds, (job.paused_by or "somebody") if job.paused else None)
