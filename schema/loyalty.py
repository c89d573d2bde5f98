"""Loyalty accounts and their entries."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import loyalty as domain_loyalty
from schema import ids
from schema.context import RequestInfo
from schema.flights import Node
from schema.loaders import HIDDEN
from schema.pagination import (
    FIRST_DEFAULT,
    After,
    Before,
    Connection,
    First,
    Keyset,
    Last,
    Wanted,
    connection,
    keyset_page,
    uuid_key,
)
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


@connection("entry")
class LoyaltyEntryConnection(Connection[LoyaltyEntry]):
    pass


@strawberry.type(description="A member's account.")
class LoyaltyAccount(Node):
    full_name: strawberry.Private[str]
    member_number: str = strawberry.field(description="As SS0000001.")
    balance: int = strawberry.field(description="Spendable.")
    pending_miles: int = strawberry.field(description="Awarded by sagas that still run; spendable once they complete.")

    @classmethod
    def of(cls, account: domain_loyalty.LoyaltyAccount) -> Self:
        """The domain's account."""
        return cls(
            id=strawberry.ID(ids.encode("LoyaltyAccount", account.member_number)),
            member_number=account.member_number,
            full_name=account.name,
            balance=account.balance,
            pending_miles=account.pending,
        )

    @strawberry.field(description=f'The member\'s name; "{HIDDEN}" for an operator without the scope people:read.')
    def name(self, info: RequestInfo) -> str:
        viewer = info.context.viewer
        is_shown = viewer.names_only is None or viewer.member_number == self.member_number
        return self.full_name if is_shown else HIDDEN

    @strawberry.field(description="Newest first.")
    async def entries(
        self,
        info: RequestInfo,
        first: First = FIRST_DEFAULT,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> LoyaltyEntryConnection:
        number = self.member_number
        keyset = Keyset(
            f"entries-{number}",
            lambda entry: entry.id,
            uuid_key,
            domain_loyalty.entries_page,
            domain_loyalty.entries_count,
        )
        return LoyaltyEntryConnection(page=await keyset_page(info, keyset, number, Wanted(first, after, last, before)))
