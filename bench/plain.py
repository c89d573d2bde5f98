"""The reference for the engine: a plain sqlite3 loop without an engine, one commit a step.

It writes the same rows to the same schema in a file with the same settings, as a careful program would
that books seats one after another and must survive a crash between steps. It queries seats, but has no
lease, no fencing and no batches, and calls no provider.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from pathlib import Path
from typing import Final

from domain.clock import wall_now
from domain.ids import new_id
from domain.seats import CabinClass, cabin_seats

__all__ = ["run_plain_loop"]

_STEPS: Final = (
    ("RESERVE_SEAT", "CANCEL_SEAT"),
    ("AUTHORIZE_PAYMENT", "CANCEL_PAYMENT"),
    ("AWARD_MILES", "REVERSE_MILES"),
    ("CONFIRM_BOOKING", "CANCEL_BOOKING"),
)
_ECONOMY: Final = cabin_seats(CabinClass.ECONOMY)
_CONTEXT: Final = (
    '{"subject":"bench","segments":[{"flight_id":1,"number":"B0001","cabin":"ECONOMY"}],"passengers":1,"total":10000,'
    '"payable":10000,"currency":"USD","member":"SS0000001","miles":3442,"token":"pm_card_visa",'
    '"payment_reference":"pi_00000000000000000000000000000000"}'
)


def run_plain_loop(path: Path, flight_ids: list[int], bookings: int) -> list[float]:
    """Seconds for each of `bookings`, one after another, on the migrated file at `path`."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "cache_size = -65536",
        "wal_autocheckpoint = 8192",
    ):
        connection.execute(f"PRAGMA {pragma}")
    found = []
    for number in range(bookings):
        began = time.perf_counter()
        _Booking(connection, flight_ids[number % len(flight_ids)], f"SS{number % 100 + 1:07d}").run()
        found.append(time.perf_counter() - began)
    connection.close()
    return found


class _Booking:
    """One booking: its start, then one commit a step."""

    def __init__(self, connection: sqlite3.Connection, flight_id: int, member: str) -> None:
        self._run = connection.execute
        self._flight_id = flight_id
        self._member = member
        self._saga_id = new_id()
        self._correlation_id = str(uuid.uuid4())
        self._sequence = 0

    def run(self) -> None:
        for step in (self._start, self._reserve, self._authorize, self._award, self._confirm):
            self._run("BEGIN IMMEDIATE")
            step()
            self._run("COMMIT")

    def _start(self) -> None:
        now = wall_now()
        self._run(
            "INSERT INTO passengers (saga_id, position, given_name, family_name) VALUES (?, 0, 'Grace', 'Hopper')",
            (self._saga_id,),
        )
        self._run(
            "INSERT INTO sagas (id, correlation_id, definition, version, subject, fingerprint, status, direction,"
            " phase, position, attempt, round, uncertain, effects, context, due_at, given_up, replica, epoch, sequence,"
            " started_at, updated_at) VALUES (?, ?, 'BOOK_AND_EARN', 1, 'bench', ?, 'PENDING', 'FORWARD', 'READY',"
            " 0, 0, 1, 0, 0, ?, ?, 0, ?, 1, 1, ?, ?)",
            (self._saga_id, self._correlation_id, "1:" + "0" * 64, _CONTEXT, now, self._saga_id, now, now),
        )
        for position, (name, undo) in enumerate(_STEPS):
            self._run(
                "INSERT INTO saga_steps (saga_id, position, name, compensation, status, attempt, undo_attempt)"
                " VALUES (?, ?, ?, ?, 'PENDING', 0, 0)",
                (self._saga_id, position, name, undo),
            )
        for label in (f"flight:{self._flight_id}", f"member:{self._member}"):
            self._run("INSERT INTO saga_labels (label, saga_id) VALUES (?, ?)", (label, self._saga_id))
        self._event("SAGA_STARTED", None, now)

    def _reserve(self) -> None:
        now = wall_now()
        taken = {
            seat
            for (seat,) in self._run(
                "SELECT seat FROM seat_reservations WHERE flight_id = ? AND status IN ('HELD', 'CONFIRMED')",
                (self._flight_id,),
            )
        }
        seat = next(seat for seat in _ECONOMY if seat not in taken)
        self._run(
            "INSERT INTO seat_reservations (id, saga_id, correlation_id, flight_id, seat, segment, passenger, cabin,"
            " status, held_at, expires_at) VALUES (?, ?, ?, ?, ?, 0, 0, 'ECONOMY', 'HELD', ?, ?)",
            (new_id(), self._saga_id, self._correlation_id, self._flight_id, seat, now, now + 900_000_000),
        )
        self._run("UPDATE seats SET status = 'HELD' WHERE flight_id = ? AND seat = ?", (self._flight_id, seat))
        self._seat = seat
        self._step(0, now)

    def _authorize(self) -> None:
        now = wall_now()
        self._run(
            "INSERT INTO payments (id, saga_id, correlation_id, amount_minor, currency, method, provider, reference,"
            " status, created_at, updated_at) VALUES (?, ?, ?, 10000, 'USD', 'CARD', 'sandbox', ?, 'AUTHORIZED', ?, ?)",
            (new_id(), self._saga_id, self._correlation_id, f"pi_{uuid.uuid4().hex}", now, now),
        )
        self._step(1, now)

    def _award(self) -> None:
        now = wall_now()
        self._entry("AWARDED", 0, 3442, now)
        self._step(2, now)

    def _confirm(self) -> None:
        now = wall_now()
        self._run(
            "UPDATE seat_reservations SET status = 'CONFIRMED' WHERE saga_id = ? AND status = 'HELD'", (self._saga_id,)
        )
        self._run("UPDATE seats SET status = 'BOOKED' WHERE flight_id = ? AND seat = ?", (self._flight_id, self._seat))
        self._entry("POSTED", 3442, -3442, now)
        self._run("UPDATE payments SET status = 'CAPTURED', updated_at = ? WHERE saga_id = ?", (now, self._saga_id))
        self._run(
            "INSERT INTO bookings (id, reference, status, subject, saga_id, total_minor, currency, miles_awarded,"
            " points_redeemed, created_at) VALUES (?, ?, 'CONFIRMED', 'bench', ?, 10000, 'USD', 3442, 0, ?)",
            (new_id(), uuid.uuid4().hex[:12], self._saga_id, now),
        )
        self._step(3, now)
        self._event("SAGA_COMPLETED", None, now)
        self._run(
            "UPDATE sagas SET status = 'COMPLETED', due_at = NULL, sequence = ?, finished_at = ? WHERE id = ?",
            (self._sequence, now, self._saga_id),
        )

    def _entry(self, reason: str, points: int, pending: int, now: int) -> None:
        (balance,) = self._run(
            "UPDATE loyalty_accounts SET balance = balance + ?, pending = pending + ? WHERE member_number = ?"
            " RETURNING balance",
            (points, pending, self._member),
        ).fetchone()
        self._run(
            "INSERT INTO loyalty_entries (id, member_number, points, pending_points, reason, saga_id, correlation_id,"
            " balance_after, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (new_id(), self._member, points, pending, reason, self._saga_id, self._correlation_id, balance, now),
        )

    def _step(self, position: int, now: int) -> None:
        name = _STEPS[position][0]
        self._run(
            "UPDATE saga_steps SET status = 'COMPLETED', attempt = 1, started_at = ?, finished_at = ?, summary = ?"
            " WHERE saga_id = ? AND position = ?",
            (now, now, f"{name} done", self._saga_id, position),
        )
        self._event("STEP_STARTED", name, now)
        self._event("STEP_COMPLETED", name, now)
        if position + 1 < len(_STEPS):
            self._run(
                "UPDATE sagas SET status = 'RUNNING', position = ?, effects = ?, context = ?, sequence = ?,"
                " updated_at = ? WHERE id = ?",
                (position + 1, (2 << position) - 1, _CONTEXT, self._sequence, now, self._saga_id),
            )

    def _event(self, kind: str, step: str | None, now: int) -> None:
        self._sequence += 1
        self._run(
            "INSERT INTO saga_events (saga_id, sequence, correlation_id, type, step, attempt, message, at)"
            " VALUES (?, ?, ?, ?, ?, 1, ?, ?)",
            (self._saga_id, self._sequence, self._correlation_id, kind, step, f"{step or 'saga'}: {kind}.", now),
        )
