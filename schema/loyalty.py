"""Loyalty accounts and their entries."""

from __future__ import annotations

from typing import Annotated, Self

import strawberry

from domain import loyalty as domain_loyalty
from schema import ids
from schema.context import RequestInfo
from schema.flights import Node
from schema.pagination import Page, PageInfo, check_after, check_first, uuid_key
from schema.scalars import Instant, Uuid

__all__ = ["LoyaltyAccount", "LoyaltyEntry", "LoyaltyEntryConnection"]


@strawberry.type(description="One change of a loyalty account; never altered.")
class LoyaltyEntry(Node):
    points: int = strawberry.field(description="Change of the spendable balance.")
    pending_points: int = strawberry.field(description="Change of the pending miles.")
    reason: str = strawberry.field(
        description="OPENING, AWARDED, POSTED, REVERSED, REDEEMED or REFUNDED; more may come."
    )
    correlation_id: Uuid | None = strawberry.field(description="The saga that it belongs to; null where there is none.")
    balance_after: int = strawberry.field(description="The spendable balance after it.")
    at: Instant = strawberry.field(description="When it happened.")

    @classmethod
    def of(cls, entry: domain_loyalty.LoyaltyEntry) -> Self:
        """The domain's entry."""
        return cls(
            id=strawberry.ID(ids.encode("LoyaltyEntry", entry.id)),
            points=entry.points,
            pending_points=entry.pending_points,
            reason=entry.reason.value,
            correlation_id=None if entry.correlation_id is None else Uuid(entry.correlation_id),
            balance_after=entry.balance_after,
            at=Instant(entry.at),
        )


@strawberry.type(description="An entry in its list.")
class LoyaltyEntryEdge:
    cursor: str = strawberry.field(description="Pass it as `after` to go on from here.")
    node: LoyaltyEntry = strawberry.field(description="The entry.")


@strawberry.type(description="A page of entries.")
class LoyaltyEntryConnection:
    page: strawberry.Private[Page[domain_loyalty.LoyaltyEntry]]

    @strawberry.field(description="The page's entries.")
    def edges(self) -> list[LoyaltyEntryEdge]:
        return self.page.edges(LoyaltyEntryEdge, LoyaltyEntry.of)

    @strawberry.field(description="Where the page stands.")
    def page_info(self) -> PageInfo:
        return self.page.info

    @strawberry.field(description="How many there are in all; read only when asked for.")
    async def total_count(self) -> int:
        return await self.page.count()


@strawberry.type(description="A member's account.")
class LoyaltyAccount(Node):
    member_number: str = strawberry.field(description="As SS0000001.")
    name: str = strawberry.field(description="The member's name.")
    balance: int = strawberry.field(description="Spendable.")
    pending_miles: int = strawberry.field(description="Awarded by sagas that still run; spendable once they complete.")

    @classmethod
    def of(cls, account: domain_loyalty.LoyaltyAccount) -> Self:
        """The domain's account."""
        return cls(
            id=strawberry.ID(ids.encode("LoyaltyAccount", account.member_number)),
            member_number=account.member_number,
            name=account.name,
            balance=account.balance,
            pending_miles=account.pending,
        )

    @strawberry.field(description="Newest first.")
    async def entries(
        self,
        info: RequestInfo,
        first: Annotated[int, strawberry.argument(description="1 to 100.")] = 20,
        after: Annotated[str | None, strawberry.argument(description="A cursor of this list.")] = strawberry.UNSET,
    ) -> LoyaltyEntryConnection:
        database = info.context.services.database
        kind = f"entries-{self.member_number}"
        limit = check_first(first, info.context.services.page_rows_max)
        before_id = check_after(kind, _given(after), uuid_key)
        number = self.member_number
        async with database.reading() as connection:
            rows = await domain_loyalty.entries_page(connection, number, before_id=before_id, limit=limit + 1)

        async def count() -> int:
            async with database.reading() as connection:
                return await domain_loyalty.entries_count(connection, number)

        return LoyaltyEntryConnection(
            page=Page(kind, rows, first=limit, after=_given(after), key=lambda entry: entry.id, count=count)
        )


def _given(after: str | None) -> str | None:
    return None if after is strawberry.UNSET else after
