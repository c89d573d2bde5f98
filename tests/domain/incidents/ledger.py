"""Histories of sagas, written row by row: what a test says is what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import BookingStatus, DefinitionName
from domain.bookings.tables import bookings
from domain.clock import SECOND
from domain.ids import new_id
from domain.incidents import AtStake, Incident, Unsettled, at_stake, incidents, unsettled
from domain.loyalty import EntryReason
from domain.loyalty.tables import loyalty_entries
from domain.payments import PaymentStatus
from domain.payments.tables import payments
from domain.saga import Direction, SagaStatus, StepStatus
from domain.saga.tables import NOBODY, saga_steps, sagas
from domain.seats import SeatReservationStatus
from domain.seats.tables import seat_reservations
from domain.storage import Database
from tests.domain.bookings.world import ADA
from tests.support.sequences import BOOKINGS, CANCELLATION

__all__ = ["FARE", "HOLD", "MILES", "POINTS", "Ledger", "Written"]

FARE: Final = 116_00
POINTS: Final = 5_000
MILES: Final = 771
HOLD: Final = 900 * SECOND
_STEPS: Final = {
    definition.name: [(step.name, step.compensation.name if step.compensation else None) for step in definition.steps]
    for definition in (*BOOKINGS, CANCELLATION)
}


@dataclass(frozen=True)
class Written:
    """A saga of the ledger."""

    id: str
    definition: str


@dataclass
class Ledger:
    """Writes rows; `now` is the moment of all of them unless the test says another."""

    database: Database
    now: int
    flight_id: int
    _seat: int = field(default=30)

    # ------------------------------------------------------------------ sagas

    async def saga(
        self,
        definition: str = DefinitionName.BOOK_AND_EARN,
        status: SagaStatus = SagaStatus.STUCK,
        *,
        at: int | str = 1,
        direction: Direction = Direction.BACKWARD,
        code: str = "PAYMENT_REJECTED",
        message: str = "No.",
        since: int | None = None,
        updated_at: int | None = None,
        **values: Any,
    ) -> Written:
        """A saga that stands at this step, whose action or compensation has failed with this code."""
        steps = _STEPS[definition]
        position = at if isinstance(at, int) else [name for name, _ in steps].index(at)
        since = self.now if since is None else since
        written = Written(new_id(), definition)
        parked = (
            {"parked_at": since, "parked_from": "RUNNING", "parked_code": code, "parked_reason": message}
            if status is SagaStatus.PARKED
            else {}
        )
        row = {
            "id": written.id,
            "correlation_id": new_id(),
            "definition": definition,
            "version": 3,
            "subject": "someone",
            "fingerprint": "",
            "status": status.value,
            "direction": direction.value,
            "phase": "READY",
            "position": position,
            "attempt": 1,
            "round": 1,
            "uncertain": 0,
            "effects": 0,
            "context": "{}",
            "given_up": 0,
            "replica": NOBODY,
            "epoch": 1,
            "sequence": 1,
            "started_at": self.now - HOLD,
            "updated_at": since if updated_at is None else updated_at,
            "finished_at": self.now if status.is_terminal else None,
            "stuck_since": since if status is SagaStatus.STUCK else None,
            **parked,
            **values,
        }
        await self._insert(sagas, row)
        for number, (name, compensation) in enumerate(steps):
            failed = number == position and status is SagaStatus.STUCK
            undone = failed and direction is Direction.BACKWARD
            done = failed and direction is Direction.FORWARD
            await self._insert(
                saga_steps,
                {
                    "saga_id": written.id,
                    "position": number,
                    "name": name,
                    "compensation": compensation,
                    "status": StepStatus.STUCK.value if done else StepStatus.COMPLETED.value,
                    "attempt": 1,
                    "failure_code": code if done else None,
                    "failure_message": message if done else None,
                    "undo_status": StepStatus.STUCK.value if undone else None,
                    "undo_attempt": 1 if undone else 0,
                    "undo_failure_code": code if undone else None,
                    "undo_failure_message": message if undone else None,
                },
            )
        return written

    async def cancellation(self, of: Written, status: SagaStatus = SagaStatus.STUCK, **more: Any) -> Written:
        """The saga that cancels the booking of this saga; it stands at its refund, going forward."""
        changes: dict[str, Any] = {"at": "REFUND_PAYMENT", "direction": Direction.FORWARD, "version": 2, **more}
        written = await self.saga(DefinitionName.CANCEL_BOOKING, status, **changes)
        await self._insert(
            bookings,
            {
                "id": new_id(),
                "reference": written.id[-6:].upper(),
                "status": BookingStatus.CANCELLING.value,
                "subject": "someone",
                "saga_id": of.id,
                "cancellation_id": written.id,
                "total_minor": FARE,
                "currency": "USD",
                "miles_awarded": MILES,
                "points_redeemed": 0,
                "created_at": self.now,
            },
        )
        return written

    # ------------------------------------------------------------------ what they hold

    async def pays(
        self, saga: Written, status: str = PaymentStatus.CAPTURED, minor: int = FARE, currency: str = "USD", **more: Any
    ) -> None:
        await self._insert(
            payments,
            {
                "id": new_id(),
                "saga_id": saga.id,
                "correlation_id": saga.id,
                "amount_minor": minor,
                "currency": currency,
                "method": "CARD",
                "provider": "sandbox",
                "reference": f"pi_{saga.id}",
                "status": status,
                "created_at": self.now,
                "updated_at": self.now,
                **more,
            },
        )

    async def enters(self, saga: Written, reason: EntryReason, points: int, pending: int) -> None:
        """One entry of the member's account."""
        await self._insert(
            loyalty_entries,
            {
                "id": new_id(),
                "member_number": ADA,
                "points": points,
                "pending_points": pending,
                "reason": reason.value,
                "saga_id": saga.id,
                "balance_after": 0,
                "at": self.now,
            },
        )

    async def seats(self, saga: Written, *statuses: SeatReservationStatus, expires_at: int | None = None) -> None:
        """A reservation of each status; holds lapse then, or in a while."""
        for number, status in enumerate(statuses):
            self._seat += 1
            await self._insert(
                seat_reservations,
                {
                    "id": new_id(),
                    "saga_id": saga.id,
                    "correlation_id": saga.id,
                    "flight_id": self.flight_id,
                    "seat": self._seat,
                    "segment": 0,
                    "passenger": number,
                    "cabin": "ECONOMY",
                    "status": status.value,
                    "held_at": self.now - HOLD,
                    "expires_at": self.now + HOLD if expires_at is None else expires_at,
                    "ended_at": None if status.is_live else self.now,
                },
            )

    async def change(self, saga: Written, **values: Any) -> None:
        """Change the saga's row."""

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(update(sagas).where(sagas.c.id == saga.id).values(values))

        await self.database.write(work)

    # ------------------------------------------------------------------ what is read of them

    async def stake(self, saga: Written) -> AtStake | None:
        async with self.database.reading() as connection:
            return (await at_stake(connection, [saga.id], at=self.now)).get(saga.id)

    async def unsettled(self) -> Unsettled:
        async with self.database.reading() as connection:
            return await unsettled(connection)

    async def incidents(self) -> list[Incident]:
        async with self.database.reading() as connection:
            return await incidents(connection, at=self.now)

    async def _insert(self, table: Table, row: Mapping[str, Any]) -> None:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(table), [dict(row)])

        await self.database.write(work)
