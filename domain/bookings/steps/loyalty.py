"""AWARD_MILES and DEDUCT_LOYALTY_POINTS, and their compensations."""

from __future__ import annotations

from collections.abc import Sequence

from domain import loyalty
from domain.bookings.contexts import BookingContext
from domain.facts import LoyaltyFacts
from domain.outcome import Busy, Refused, Succeeded
from domain.saga import Batch, Member, SettleVerdict, Skipped

__all__ = ["LoyaltySteps"]


class LoyaltySteps:
    """Moves a member's miles and points; skips sagas without a member."""

    async def award(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Credit the miles as pending: not spendable until the booking is confirmed."""
        earning = [member for member in batch.members if member.context.member and member.context.miles]
        answers = await loyalty.award(
            batch.connection,
            [loyalty.Award(m.saga_id, m.correlation_id, m.context.member or "", m.context.miles) for m in earning],
            at=batch.at,
        )
        verdicts: dict[str, SettleVerdict] = {}
        for member, answer in zip(earning, answers, strict=True):
            match answer:
                case loyalty.Awarded():
                    verdicts[member.saga_id] = _changed(member, miles=member.context.miles)
                case loyalty.MemberUnknown():
                    verdicts[member.saga_id] = _unknown(member)
                case Busy():
                    verdicts[member.saga_id] = Busy()
        return [verdicts.get(m.saga_id) or Skipped("no loyalty member") for m in batch.members]

    async def reverse(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Take the miles back."""
        answers = await loyalty.reverse(batch.connection, batch.saga_ids, at=batch.at)
        return [
            answer if isinstance(answer, Busy) else _changed(member, miles=-member.context.miles)
            for member, answer in zip(batch.members, answers, strict=True)
        ]

    async def redeem(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Take the points from the balance, at once; the balance is checked under its lock."""
        answers = await loyalty.redeem(
            batch.connection,
            [
                loyalty.Redemption(m.saga_id, m.correlation_id, m.context.member or "", m.context.points)
                for m in batch.members
            ],
            at=batch.at,
        )
        verdicts: list[SettleVerdict] = []
        for member, answer in zip(batch.members, answers, strict=True):
            match answer:
                case loyalty.Redeemed():
                    verdicts.append(_changed(member, points=-member.context.points))
                case loyalty.InsufficientPoints(balance, needed):
                    message = f"The balance is {balance:,} points, {needed:,} are needed."
                    verdicts.append(Refused("INSUFFICIENT_POINTS", message))
                case loyalty.MemberUnknown():
                    verdicts.append(_unknown(member))
                case Busy():
                    verdicts.append(Busy())
        return verdicts

    async def refund(self, batch: Batch[BookingContext]) -> Sequence[SettleVerdict]:
        """Give the points back."""
        answers = await loyalty.refund(batch.connection, batch.saga_ids, at=batch.at)
        return [
            answer if isinstance(answer, Busy) else _changed(member, points=member.context.points)
            for member, answer in zip(batch.members, answers, strict=True)
        ]


def _changed(member: Member[BookingContext], *, miles: int = 0, points: int = 0) -> Succeeded:
    return Succeeded(facts=LoyaltyFacts(member.context.member or "", miles=miles, points=points))


def _unknown(member: Member[BookingContext]) -> Refused:
    return Refused("MEMBER_NOT_FOUND", f"There is no member {member.context.member}.")
