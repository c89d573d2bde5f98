"""One booking as statements, as a careful program without an engine writes it, for any driver.

It writes the same rows to the same schema as `bench.plain` on SQLite. Each step is a generator of
statements with named parameters; `send` it the first column of the first row if it asks for one.
It uses only the standard library, as it also runs where seatsaga is not installed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator, Sequence
from typing import Any, Final

from domain.ids import new_id

__all__ = ["FENCE", "MEMBERS", "PlainBooking", "Step"]

#: (statement, its parameters), one after another; what is sent back is the statement's one value.
Step = Generator[tuple[str, dict[str, Any]], Any, None]

MEMBERS: Final = 10_000
#: Whether the saga is still ours; it stays so until the transaction ends.
FENCE: Final = "SELECT status FROM sagas WHERE id = :saga_id AND replica = :replica AND epoch = 1 FOR UPDATE"
_STEPS: Final = (
    ("RESERVE_SEAT", "CANCEL_SEAT"),
    ("AUTHORIZE_PAYMENT", "CANCEL_PAYMENT"),
    ("AWARD_MILES", "REVERSE_MILES"),
    ("CONFIRM_BOOKING", "CANCEL_BOOKING"),
)
_CONTEXT: Final = (
    '{"subject":"bench","segments":[{"flight_id":1,"number":"B0001","cabin":"ECONOMY"}],"passengers":1,"total":10000,'
    '"payable":10000,"currency":"USD","member":"SS0000001","miles":3442,"token":"pm_card_visa",'
    '"payment_reference":"pi_00000000000000000000000000000000"}'
)


class PlainBooking:
    """The `number`-th booking of a program that calls itself `replica`, flights and members in turn."""

    def __init__(self, number: int, flight_ids: Sequence[int], replica: str) -> None:
        self.saga_id = new_id()
        self.replica = replica
        self._flight_id = flight_ids[number % len(flight_ids)]
        self._member = f"SS{number % MEMBERS + 1:07d}"
        self._correlation_id = str(uuid.uuid4())
        self._sequence = 0
        self._seat = -1

    def start(self) -> Step:
        """The saga, before anything is done."""
        now = _now()
        yield (
            "INSERT INTO passengers (saga_id, position, given_name, family_name)"
            " VALUES (:saga_id, 0, 'Grace', 'Hopper')",
            {"saga_id": self.saga_id},
        )
        yield (
            "INSERT INTO sagas (id, correlation_id, definition, version, subject, fingerprint, status, direction,"
            " phase, position, attempt, round, uncertain, effects, context, due_at, given_up, replica, epoch, sequence,"
            " started_at, updated_at) VALUES (:saga_id, :correlation_id, 'BOOK_AND_EARN', 1, 'bench', :fingerprint,"
            " 'PENDING', 'FORWARD', 'READY', 0, 0, 1, 0, 0, :context, :now, 0, :replica, 1, 1, :now, :now)",
            {**self._ids, "fingerprint": "1:" + "0" * 64, "context": _CONTEXT, "now": now, "replica": self.replica},
        )
        steps = ", ".join(
            f"(:saga_id, {position}, '{name}', '{undo}', 'PENDING', 0, 0)"
            for position, (name, undo) in enumerate(_STEPS)
        )
        yield (
            "INSERT INTO saga_steps (saga_id, position, name, compensation, status, attempt, undo_attempt)"
            f" VALUES {steps}",
            {"saga_id": self.saga_id},
        )
        yield (
            "INSERT INTO saga_labels (label, saga_id) VALUES (:flight, :saga_id), (:member, :saga_id)",
            {"saga_id": self.saga_id, "flight": f"flight:{self._flight_id}", "member": f"member:{self._member}"},
        )
        yield self._events([("SAGA_STARTED", None)], now)

    def reserve(self) -> Step:
        """A seat, held."""
        now = _now()
        self._seat = yield (
            "SELECT seat FROM seats WHERE flight_id = :flight_id AND status = 'AVAILABLE' AND seat >= 18"
            " ORDER BY seat LIMIT 1 FOR UPDATE SKIP LOCKED",
            {"flight_id": self._flight_id},
        )
        yield (
            "INSERT INTO seat_reservations (id, saga_id, correlation_id, flight_id, seat, segment, passenger, cabin,"
            " status, held_at, expires_at) VALUES (:id, :saga_id, :correlation_id, :flight_id, :seat, 0, 0, 'ECONOMY',"
            " 'HELD', :now, :expires_at)",
            {"id": new_id(), **self._ids, **self._place, "now": now, "expires_at": now + 900_000_000},
        )
        yield "UPDATE seats SET status = 'HELD' WHERE flight_id = :flight_id AND seat = :seat", self._place
        yield from self._completed(0, now)

    def authorize(self) -> Step:
        """The payment's row."""
        now = _now()
        yield (
            "INSERT INTO payments (id, saga_id, correlation_id, amount_minor, currency, method, provider, reference,"
            " status, created_at, updated_at) VALUES (:id, :saga_id, :correlation_id, 10000, 'USD', 'CARD', 'sandbox',"
            " :reference, 'AUTHORIZED', :now, :now)",
            {"id": new_id(), **self._ids, "reference": f"pi_{uuid.uuid4().hex}", "now": now},
        )
        yield from self._completed(1, now)

    def award(self) -> Step:
        """Miles, pending."""
        now = _now()
        yield from self._entry("AWARDED", 0, 3442, now)
        yield from self._completed(2, now)

    def confirm(self) -> Step:
        """The booking; the seat is booked, the miles are spendable, the payment is captured."""
        now = _now()
        saga_id = {"saga_id": self.saga_id}
        yield "UPDATE seat_reservations SET status = 'CONFIRMED' WHERE saga_id = :saga_id AND status = 'HELD'", saga_id
        yield "UPDATE seats SET status = 'BOOKED' WHERE flight_id = :flight_id AND seat = :seat", self._place
        yield from self._entry("POSTED", 3442, -3442, now)
        yield (
            "UPDATE payments SET status = 'CAPTURED', updated_at = :now WHERE saga_id = :saga_id",
            {**saga_id, "now": now},
        )
        yield (
            "INSERT INTO bookings (id, reference, status, subject, saga_id, total_minor, currency, miles_awarded,"
            " points_redeemed, created_at) VALUES (:id, :reference, 'CONFIRMED', 'bench', :saga_id, 10000, 'USD', 3442,"
            " 0, :now)",
            {"id": new_id(), "reference": uuid.uuid4().hex[:12], **saga_id, "now": now},
        )
        yield from self._completed(3, now)

    @property
    def _ids(self) -> dict[str, Any]:
        return {"saga_id": self.saga_id, "correlation_id": self._correlation_id}

    @property
    def _place(self) -> dict[str, Any]:
        return {"flight_id": self._flight_id, "seat": self._seat}

    def _entry(self, reason: str, points: int, pending: int, now: int) -> Step:
        change = {"member": self._member, "points": points, "pending": pending}
        balance = yield (
            "UPDATE loyalty_accounts SET balance = balance + :points, pending = pending + :pending"
            " WHERE member_number = :member RETURNING balance",
            change,
        )
        yield (
            "INSERT INTO loyalty_entries (id, member_number, points, pending_points, reason, saga_id, correlation_id,"
            " balance_after, at) VALUES (:id, :member, :points, :pending, :reason, :saga_id, :correlation_id, :balance,"
            " :now)",
            {"id": new_id(), **change, "reason": reason, **self._ids, "balance": balance, "now": now},
        )

    def _completed(self, position: int, now: int) -> Step:
        name = _STEPS[position][0]
        of_step = {"saga_id": self.saga_id, "position": position}
        yield (
            "UPDATE saga_steps SET status = 'COMPLETED', attempt = 1, started_at = :now, finished_at = :now,"
            " summary = :summary WHERE saga_id = :saga_id AND position = :position",
            {**of_step, "now": now, "summary": f"{name} done"},
        )
        kinds: list[tuple[str, str | None]] = [("STEP_STARTED", name), ("STEP_COMPLETED", name)]
        if position + 1 < len(_STEPS):
            yield self._events(kinds, now)
            yield (
                "UPDATE sagas SET status = 'RUNNING', position = :position, effects = :effects, context = :context,"
                " sequence = :sequence, updated_at = :now WHERE id = :saga_id",
                {
                    "saga_id": self.saga_id,
                    "position": position + 1,
                    "effects": (2 << position) - 1,
                    "context": _CONTEXT,
                    "sequence": self._sequence,
                    "now": now,
                },
            )
        else:
            yield self._events([*kinds, ("SAGA_COMPLETED", None)], now)
            yield (
                "UPDATE sagas SET status = 'COMPLETED', due_at = NULL, sequence = :sequence, finished_at = :now"
                " WHERE id = :saga_id",
                {"saga_id": self.saga_id, "sequence": self._sequence, "now": now},
            )

    def _events(self, kinds: Sequence[tuple[str, str | None]], now: int) -> tuple[str, dict[str, Any]]:
        """All of a step's events in one statement."""
        rows, values = [], {**self._ids, "now": now}
        for number, (kind, step) in enumerate(kinds):
            self._sequence += 1
            rows.append(
                f"(:saga_id, :sequence{number}, :correlation_id, :type{number}, :step{number}, 1, :message{number},"
                " :now)"
            )
            values |= {
                f"sequence{number}": self._sequence,
                f"type{number}": kind,
                f"step{number}": step,
                f"message{number}": f"{step or 'saga'}: {kind}.",
            }
        return (
            "INSERT INTO saga_events (saga_id, sequence, correlation_id, type, step, attempt, message, at)"
            f" VALUES {', '.join(rows)}",
            values,
        )


def _now() -> int:
    return time.time_ns() // 1_000
