"""What others read in the sandbox's books: listed by time, whole, and by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.clock import wall_now
from domain.payments import BooksListing, ProviderEntry, ProviderState
from domain.storage import Server, database_url
from sandbox import SandboxGateway
from sandbox.reading import BooksReader, reading
from tests.domain.payments.bank import PRICE, Bank, code_of, order

ORDER = order()


def place_of(bank: Bank) -> Path | Server:
    return Path(bank.target) if bank.kind == "sqlite" else Server(database_url(bank.target))


async def listed(books: BooksReader, listing: BooksListing, since: int, until: int) -> list[ProviderEntry]:
    """All pages of the listing."""
    found: list[ProviderEntry] = []
    page = await books.page(listing, since=since, until=until)
    found += page.entries
    while page.after is not None:
        page = await books.page(listing, since=since, until=until, after=page.after)
        found += page.entries
    return found


async def taken(gateway: SandboxGateway, reference: str) -> None:
    assert code_of(await gateway.authorize(reference, ORDER, f"{reference}:authorize")) == "OK"
    assert code_of(await gateway.capture(reference, PRICE, f"{reference}:capture")) == "OK"


async def test_payments_are_listed_by_the_time_of_their_creation_on_pages(
    bank: Bank, sandbox: SandboxGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.reading.PAGE_ENTRIES_MAX", 2)
    began = wall_now()
    names = [f"pi_{number}" for number in range(5)]
    for name in names:
        await taken(sandbox, name)
    later = wall_now()
    await sandbox.authorize("pi_later", ORDER, "later")
    async with reading(place_of(bank)) as books:
        found = await listed(books, BooksListing.PAYMENTS, began, later)
        assert [entry.reference for entry in found] == names
        assert [entry.reference for entry in await listed(books, BooksListing.PAYMENTS, later, later * 2)] == [
            "pi_later"
        ]
        assert await listed(books, BooksListing.PAYMENTS, 0, began) == []
        assert await listed(books, BooksListing.DISPUTES, 0, later * 2) == []
    assert all(began <= entry.created_at < later for entry in found)


async def test_an_entry_tells_where_its_money_is_and_whose_it_is(bank: Bank, sandbox: SandboxGateway) -> None:
    await taken(sandbox, "pi_taken")
    await sandbox.authorize("pi_reserved", ORDER, "reserved")
    await taken(sandbox, "pi_back")
    middle = wall_now()
    await sandbox.refund("pi_back", "back")
    await sandbox.void("pi_void", "void")
    async with reading(place_of(bank)) as books:
        found = await books.entries(["pi_taken", "pi_reserved", "pi_back", "pi_void", "pi_none"])
        refunds = await listed(books, BooksListing.REFUNDS, middle, middle * 2)
        before = await listed(books, BooksListing.REFUNDS, 0, middle)
    assert found.keys() == {"pi_taken", "pi_reserved", "pi_back", "pi_void"}
    sums = {name: (entry.reserved, entry.captured, entry.refunded, entry.kept) for name, entry in found.items()}
    assert sums == {
        "pi_taken": (0, PRICE.minor, 0, PRICE.minor),
        "pi_reserved": (PRICE.minor, 0, 0, 0),
        "pi_back": (0, PRICE.minor, PRICE.minor, 0),
        "pi_void": (0, 0, 0, 0),
    }
    assert [entry.has_money for entry in found.values()] == [name in ("pi_taken", "pi_reserved") for name in found]
    assert found["pi_taken"].correlation_id == ORDER.correlation_id
    assert found["pi_void"].state is ProviderState.VOIDED
    assert ([entry.reference for entry in refunds], before) == (["pi_back"], [])


async def test_a_refused_request_changes_no_time(bank: Bank, sandbox: SandboxGateway) -> None:
    await taken(sandbox, "pi_1")
    async with bank.books() as books:
        before = (await books.entries(["pi_1"]))["pi_1"]
        assert code_of(await sandbox.void("pi_1", "void")) != "OK"
        after = (await books.entries(["pi_1"]))["pi_1"]
    assert (after.created_at, after.changed_at) == (before.created_at, before.changed_at)
    assert before.created_at <= before.changed_at
