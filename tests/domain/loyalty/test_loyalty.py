"""Accounts: sums hold, nothing twice, never silently less."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import loyalty
from domain.ids import new_id
from domain.loyalty import (
    Award,
    Awarded,
    InsufficientPoints,
    LoyaltyAccount,
    MemberUnknown,
    NothingToPost,
    NothingToRefund,
    NothingToRestore,
    NothingToReverse,
    Posted,
    Redeemed,
    Redemption,
    Refunded,
    Restored,
    Reversed,
)
from domain.loyalty.tables import loyalty_accounts, loyalty_entries
from domain.outcome import Busy
from domain.storage import Database

ADA = "SS0000001"
BRUNO = "SS0000002"


@pytest.fixture
async def accounts(database: Database) -> Database:
    await loyalty.seed_members(database)
    return database


async def account(database: Database, number: str = ADA) -> LoyaltyAccount:
    async with database.reading() as connection:
        return (await loyalty.accounts_by_numbers(connection, [number]))[number]


async def in_one(
    database: Database, function: Callable[..., Coroutine[Any, Any, list[Any]]], requests: list[Any]
) -> list[Any]:
    return await database.write(lambda connection: function(connection, requests, at=1))


def an_award(miles: int = 100, member: str = ADA, saga: str | None = None) -> Award:
    return Award(saga or new_id(), new_id(), member, miles)


def a_redemption(points: int = 100, member: str = ADA, saga: str | None = None) -> Redemption:
    return Redemption(saga or new_id(), new_id(), member, points)


async def assert_sums_hold(database: Database) -> None:
    async with database.reading() as connection:
        sums = {
            row.member_number: (int(row.points), int(row.pending))
            for row in await connection.execute(
                select(
                    loyalty_entries.c.member_number,
                    func.sum(loyalty_entries.c.points).label("points"),
                    func.sum(loyalty_entries.c.pending_points).label("pending"),
                ).group_by(loyalty_entries.c.member_number)
            )
        }
        for row in await connection.execute(select(loyalty_accounts)):
            assert (row.balance, row.pending) == sums[row.member_number]


async def test_a_hundred_members_are_seeded_once(accounts: Database) -> None:
    assert await loyalty.seed_members(accounts) == 0
    assert (await account(accounts, "SS0000100")).balance == 50_000
    await assert_sums_hold(accounts)


async def test_awarded_miles_are_pending_until_they_are_posted(accounts: Database) -> None:
    award = an_award(1_240)
    assert await in_one(accounts, loyalty.award, [award]) == [Awarded()]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 50_000, 1_240)
    assert await in_one(accounts, loyalty.redeem, [a_redemption(50_001)]) == [InsufficientPoints(50_000, 50_001)]
    assert await in_one(accounts, loyalty.post, [award.saga_id]) == [Posted(1_240)]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 51_240, 0)
    await assert_sums_hold(accounts)


async def test_nothing_is_done_twice_for_one_saga(accounts: Database) -> None:
    award, redemption = an_award(10), a_redemption(20)
    for _ in range(2):
        assert await in_one(accounts, loyalty.award, [award, award]) == [Awarded()] * 2
        assert await in_one(accounts, loyalty.redeem, [redemption]) == [Redeemed()]
        assert await in_one(accounts, loyalty.post, [award.saga_id]) == [Posted(10)]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 49_990, 0)
    assert await in_one(accounts, loyalty.refund, [redemption.saga_id]) == [Refunded(20)]
    assert await in_one(accounts, loyalty.refund, [redemption.saga_id]) == [NothingToRefund()]
    assert await in_one(accounts, loyalty.reverse, [award.saga_id]) == [Reversed(10)]
    assert await in_one(accounts, loyalty.reverse, [award.saga_id]) == [NothingToReverse()]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 50_000, 0)
    await assert_sums_hold(accounts)


async def test_pending_miles_are_reversed_from_the_pending_ones(accounts: Database) -> None:
    award = an_award(300)
    await in_one(accounts, loyalty.award, [award])
    assert await in_one(accounts, loyalty.reverse, [award.saga_id]) == [Reversed(300)]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 50_000, 0)
    # What was taken back is not posted by a straggler.
    assert await in_one(accounts, loyalty.post, [award.saga_id]) == [Posted(300)]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 50_000, 0)


async def test_reversing_spent_miles_takes_a_balance_below_zero(accounts: Database) -> None:
    award = an_award(500)
    await in_one(accounts, loyalty.award, [award])
    await in_one(accounts, loyalty.post, [award.saga_id])
    assert await in_one(accounts, loyalty.redeem, [a_redemption(50_400)]) == [Redeemed()]
    assert await in_one(accounts, loyalty.reverse, [award.saga_id]) == [Reversed(500)]
    assert (await account(accounts)).balance == -400
    await assert_sums_hold(accounts)


async def test_points_are_judged_in_arrival_order_within_a_batch(accounts: Database) -> None:
    answers = await in_one(accounts, loyalty.redeem, [a_redemption(30_000), a_redemption(30_000), a_redemption(20_000)])
    assert answers == [Redeemed(), InsufficientPoints(20_000, 30_000), Redeemed()]
    assert (await account(accounts)).balance == 0


async def test_a_cancelled_booking_restores_miles_and_points(accounts: Database) -> None:
    award, redemption = an_award(70), a_redemption(50)
    await in_one(accounts, loyalty.award, [award])
    await in_one(accounts, loyalty.post, [award.saga_id])
    await in_one(accounts, loyalty.redeem, [redemption])
    answers = await in_one(accounts, loyalty.restore, [award.saga_id, redemption.saga_id, new_id()])
    assert answers == [Restored(ADA, 70, 0), Restored(ADA, 0, 50), NothingToRestore()]
    assert await in_one(accounts, loyalty.restore, [award.saga_id]) == [NothingToRestore()]
    assert await account(accounts) == LoyaltyAccount(ADA, "Ada Abbott", 50_000, 0)


async def test_an_unknown_member_is_named_and_others_go_on(accounts: Database) -> None:
    answers = await in_one(accounts, loyalty.award, [an_award(1, "SS9"), an_award(1)])
    assert answers == [MemberUnknown(), Awarded()]
    assert await in_one(accounts, loyalty.post, [new_id()]) == [NothingToPost()]
    assert await in_one(accounts, loyalty.redeem, [a_redemption(1, "SS9")]) == [MemberUnknown()]


async def test_entries_are_listed_newest_first_with_the_balance_after_each(accounts: Database) -> None:
    for points in (1, 2, 3):
        await in_one(accounts, loyalty.redeem, [a_redemption(points)])
    async with accounts.reading() as connection:
        entries = await loyalty.entries_page(connection, ADA, after=None, limit=3)
        assert [(e.points, e.balance_after) for e in entries] == [(-3, 49_994), (-2, 49_997), (-1, 49_999)]
        older = await loyalty.entries_page(connection, ADA, after=entries[-1].id, limit=3)
        assert [(e.reason, e.points) for e in older] == [("OPENING", 50_000)]
        assert await loyalty.entries_count(connection, ADA) == 4


async def test_two_writers_on_the_same_accounts_never_deadlock_and_lose_nothing(accounts: Database) -> None:
    other = Database(accounts.url, clock=accounts.clock)
    shuffle = random.Random(7)

    async def writer(database: Database) -> int:
        given = 0
        for _ in range(25):
            members = [ADA, BRUNO, "SS0000003"]
            shuffle.shuffle(members)
            awards = [an_award(1, member) for member in members]
            given += sum(isinstance(answer, Awarded) for answer in await in_one(database, loyalty.award, awards))
        return given

    try:
        totals = await asyncio.gather(writer(accounts), writer(other))
    finally:
        await other.close()
    pending = [(await account(accounts, number)).pending for number in (ADA, BRUNO, "SS0000003")]
    assert sum(pending) == sum(totals)
    await assert_sums_hold(accounts)


async def test_a_locked_account_is_busy_and_not_waited_for(accounts: Database, backend: str) -> None:
    if backend == "sqlite":
        # One writer at a time: nobody ever meets a locked row there.
        assert await in_one(accounts, loyalty.award, [an_award()]) == [Awarded()]
        return
    other = Database(accounts.url, clock=accounts.clock)

    async def within(connection: AsyncConnection) -> None:
        assert await loyalty.lock(connection, [ADA]) == {ADA}
        assert await in_one(other, loyalty.award, [an_award(1, ADA), an_award(1, BRUNO)]) == [Busy(), Awarded()]

    try:
        await accounts.write(within)
    finally:
        await other.close()
