"""What must be so once every saga is over, wherever processes died on the way: to the last seat, cent, mile and event.

It is read from the tables and from the provider's books by plain SQL, past all code that wrote
them, and nothing is taken for granted because a status says so.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL

from domain.bookings import DefinitionName
from tests.domain.bookings.world import ADA
from tests.faults.scenarios import Scenario
from tests.support.databases import connected
from tests.witness import Books, Merchant, PaymentRecord
from tests.witness.books import AnswerRecord

__all__ = ["BALANCE", "Facts", "assert_exact", "read_facts", "told"]

Row = dict[str, Any]

#: What every member has before anything is booked.
BALANCE: Final = 50_000
_TABLES: Final = (
    "sagas",
    "saga_steps",
    "saga_events",
    "seats",
    "seat_reservations",
    "passengers",
    "payments",
    "bookings",
    "loyalty_accounts",
    "loyalty_entries",
)
_BOOKS: Final = ("entries", "answers")


@dataclass(frozen=True)
class Facts:
    """The rows of every table that a saga may have touched, and of the provider's books."""

    rows: dict[str, list[Row]]

    def of(self, table: str, **where: Any) -> list[Row]:
        """The rows of `table` with these values."""
        return [row for row in self.rows[table] if all(row[name] == value for name, value in where.items())]

    def events(self, saga: Row) -> list[Row]:
        """The saga's log, in order."""
        return sorted(self.of("saga_events", saga_id=saga["id"]), key=lambda row: int(row["sequence"]))


def read_facts(url: URL, merchant: Merchant | None) -> Facts:
    """All of it, as it is now. The provider's books are the sandbox's, or those of the witness's `merchant`."""
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        rows = _read_sqlite(path, _TABLES) | _read_sqlite(path.with_name("sandbox.db"), _BOOKS)
    else:
        rows = asyncio.run(_read_postgresql(url))
    return Facts(rows if merchant is None else rows | _read_witness(merchant.books_now()))


def _read_witness(books: Books) -> dict[str, list[Row]]:
    """As the sandbox has them. An intent on which nothing was ever reserved is no entry: it charges nobody."""
    entries = [
        {
            "reference": each.reference,
            "amount": each.amount,
            "currency": each.currency.upper(),
            "state": _state_of(each),
            "authorizations": each.authorizations,
            "captures": each.captures,
            "voids": int(each.status == "canceled"),
            "refunds": len([refund for refund in each.refunds if refund.status == "succeeded"]),
        }
        for each in books.payments
        if each.authorizations or each.status == "canceled"
    ]
    answers = [{"key": each.key, "code": _code_of(each)} for each in books.answers]
    return {"entries": entries, "answers": answers}


def _state_of(payment: PaymentRecord) -> str:
    match payment.status:
        case "succeeded":
            assert payment.refunded in (0, payment.captured)
            return "REFUNDED" if payment.refunded else "CAPTURED"
        case "canceled":
            return "VOIDED"
        case "requires_capture":
            return "AUTHORIZED"
        case _:
            return "OPEN"


def _code_of(answer: AnswerRecord) -> str:
    """As the sandbox names it."""
    match answer.status:
        case 200:
            return {"requires_action": "NEEDS_HOLDER", "pending": "REFUND_PENDING"}.get(answer.code, "OK")
        case 402:
            return "PAYMENT_DECLINED"
        case 500:
            return "PROVIDER_ERROR"
        case _:
            return answer.code


def _read_sqlite(path: Path, tables: tuple[str, ...]) -> dict[str, list[Row]]:
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {table: [dict(row) for row in connection.execute(f"SELECT * FROM {table}")] for table in tables}


async def _read_postgresql(url: URL) -> dict[str, list[Row]]:
    async with connected(url) as connection:
        names = {table: table for table in _TABLES} | {table: f"sandbox.{table}" for table in _BOOKS}
        return {
            table: [
                {key: str(value) if isinstance(value, uuid.UUID) else value for key, value in row.items()}
                for row in await connection.fetch(f"SELECT * FROM {name}")
            ]
            for table, name in names.items()
        }


def told(facts: Facts) -> str:
    """The log of every saga, for a person."""
    lines = []
    for saga in facts.rows["sagas"]:
        lines.append(f"{saga['definition']} {saga['status']} epoch {saga['epoch']} {saga['failure_code'] or ''}")
        for event in facts.events(saga):
            what = event["compensation"] or event["step"] or ""
            attempt = f" attempt {event['attempt']}" if event["attempt"] else ""
            lines.append(f"  {event['sequence']:>3} {event['type']} {what}{attempt}: {event['message']}")
    for entry in facts.rows["entries"]:
        lines.append(f"provider: {entry}")
    for answer in facts.rows["answers"]:
        lines.append(f"provider: {answer['key']} -> {answer['code']}")
    return "\n".join(lines)


# ---------------------------------------------------------------------- exact


def assert_exact(facts: Facts, scenario: Scenario, *, interrupted: bool) -> None:
    """Seats, money, miles, points, booking and log are what the ends of the sagas say, and there is nothing else."""
    booking = _one(facts.of("sagas", correlation_id=scenario.booking))
    is_cancellation = scenario.definition is DefinitionName.CANCEL_BOOKING
    cancellation = _one(facts.of("sagas", correlation_id=scenario.cancellation)) if is_cancellation else None
    assert len(facts.rows["sagas"]) == 1 + is_cancellation
    under_test = cancellation or booking
    assert under_test["definition"] == scenario.definition
    if not (interrupted and scenario.depends):
        assert under_test["status"] == scenario.end
    assert under_test["status"] in ("COMPLETED", "COMPENSATED")
    assert scenario.failure in (None, under_test["failure_code"])
    for saga in facts.rows["sagas"]:
        _assert_over(saga)
        _assert_log(facts, saga)
    is_booked = booking["status"] == "COMPLETED"
    _assert_seats(facts, booking, is_booked=is_booked, is_cancelled=is_cancellation)
    _assert_cards(facts, booking, scenario)
    _assert_money(facts, booking, scenario, is_booked=is_booked, is_cancelled=is_cancellation)
    _assert_loyalty(facts, booking, is_booked=is_booked, is_cancelled=is_cancellation)
    _assert_booking(facts, booking, cancellation)


def _one(rows: list[Row]) -> Row:
    assert len(rows) == 1
    return rows[0]


def _assert_over(saga: Row) -> None:
    assert saga["finished_at"] is not None
    assert saga["due_at"] is None
    assert saga["phase"] == "READY"
    assert not saga["given_up"]
    assert {saga[name] for name in ("awaits", "awaited_since", "awaited_until", "word", "word_at")} == {None}
    assert not json.loads(saga["context"]).keys() & {"token", "confirmation"}
    if saga["status"] == "COMPENSATED":
        assert saga["pinned_at"] is None
        assert saga["effects"] == 0
        assert saga["failure_code"]


def _assert_log(facts: Facts, saga: Row) -> None:
    """The log is whole, tells of each thing once, and the steps' rows say the same."""
    events = facts.events(saga)
    assert [event["sequence"] for event in events] == list(range(1, saga["sequence"] + 1))
    types = [event["type"] for event in events]
    assert types[0] == "SAGA_STARTED"
    assert types[-1] == f"SAGA_{saga['status']}"
    endings = {"SAGA_COMPLETED", "SAGA_COMPENSATED", "SAGA_ABANDONED"}
    assert len([kind for kind in types if kind in endings or kind == "SAGA_STARTED"]) == 2
    assert all(before["at"] <= after["at"] for before, after in itertools.pairwise(events))

    rows = sorted(facts.of("saga_steps", saga_id=saga["id"]), key=lambda row: int(row["position"]))
    steps = [row["name"] for row in rows]
    undos = {row["name"]: row["compensation"] for row in rows}
    completed = [event["step"] for event in events if event["type"] == "STEP_COMPLETED"]
    passed = [event["step"] for event in events if event["type"] in ("STEP_COMPLETED", "STEP_SKIPPED")]
    undone = [event["compensation"] for event in events if event["type"] == "COMPENSATION_COMPLETED"]
    _assert_attempts(events)
    _assert_waits(events)
    if saga["status"] == "COMPLETED":
        assert passed == steps
        assert undone == []
        assert {row["status"] for row in rows} <= {"COMPLETED", "SKIPPED"}
        assert {row["undo_status"] for row in rows} == {None}
        return
    assert passed == steps[: len(passed)]
    # Last in, first out; before them the step at which it turned round, where its call may have had an effect.
    expected = [undos[name] for name in reversed(completed) if undos[name]]
    turned_at = [undos[name] for name in steps[len(passed) : len(passed) + 1]]
    assert undone in (expected, turned_at + expected)
    by_undo = {row["compensation"]: row["undo_status"] for row in rows}
    assert {name for name, status in by_undo.items() if status == "COMPLETED"} == set(undone)
    assert set(by_undo.values()) <= {None, "COMPLETED"}
    assert {row["status"] for row in rows} <= {"COMPLETED", "SKIPPED", "FAILED", "PENDING"}


def _assert_attempts(events: list[Row]) -> None:
    """Attempts are numbered 1, 2, 3 and none is missing; each ends before the next begins, none begins once it is done.

    The first attempt after a wait is number 1 again. A try that does not count gives its number back: the event that
    says so names none.
    """
    begun: Counter[str] = Counter()
    resumed: set[str] = set()
    done: set[str] = set()
    under_way: str | None = None
    for event in events:
        operation = event["compensation"] or event["step"] or ""
        if operation and event["type"] not in ("STEP_STARTED", "COMPENSATION_STARTED", "HOLD_EXPIRED"):
            under_way = None
        match event["type"]:
            case "STEP_RESUMED":
                resumed.add(operation)
            case "STEP_STARTED" | "COMPENSATION_STARTED":
                assert operation not in done
                # Also where a process died in a pause.
                assert under_way is None
                under_way = operation
                begun[operation] = 1 if operation in resumed else begun[operation] + 1
                resumed.discard(operation)
                assert event["attempt"] == begun[operation]
            case "STEP_RETRYING" | "COMPENSATION_RETRYING" if event["attempt"] is None:
                begun[operation] -= 1
            case "SAGA_STUCK":
                # What was looked at after the wait has failed: the next attempt is another one.
                resumed.discard(operation)
            case "STEP_COMPLETED" | "COMPENSATION_COMPLETED":
                assert operation not in done
                assert event["attempt"] == begun[operation]
                done.add(operation)
            case _:
                pass


def _assert_waits(events: list[Row]) -> None:
    """A step goes on only after its wait has ended, and each wait ends once."""
    waiting: str | None = None
    for event in events:
        match event["type"]:
            case "STEP_WAITING":
                waiting = event["step"]
            case "STEP_RESUMED":
                assert event["step"] == waiting
                waiting = None
            case "STEP_STARTED" | "STEP_COMPLETED":
                assert waiting is None
            case "STEP_FAILED":
                waiting = None
            case _:
                pass
    assert waiting is None


def _assert_cards(facts: Facts, booking: Row, scenario: Scenario) -> None:
    """Each card that was said was tried once, under a round of its own; and none was tried that nobody has said."""
    said = [event for event in facts.events(booking) if event["type"] == "STEP_RESUMED" and event["actor_role"]]
    tried = [row for row in facts.rows["answers"] if ":authorize:" in row["key"] and row["code"] != "PROVIDER_ERROR"]
    if scenario.deeds:
        assert len(tried) == len(said) + (not scenario.pay_later)


def _assert_seats(facts: Facts, booking: Row, *, is_booked: bool, is_cancelled: bool) -> None:
    """One seat, or none; held by nobody any more."""
    reservations = facts.rows["seat_reservations"]
    held = [
        event for event in facts.events(booking) if (event["type"], event["step"]) == ("STEP_COMPLETED", "RESERVE_SEAT")
    ]
    assert {row["saga_id"] for row in reservations} <= {booking["id"]}
    assert len(reservations) == len(held)
    statuses = {row["status"] for row in reservations}
    if is_booked and not is_cancelled:
        assert statuses == {"CONFIRMED"}
    elif is_cancelled:
        assert statuses == {"RELEASED"}
    else:
        assert statuses <= {"RELEASED", "EXPIRED"}
    live = {(row["flight_id"], row["seat"]) for row in reservations if row["status"] == "CONFIRMED"}
    assert {(row["flight_id"], row["seat"]) for row in facts.rows["seats"] if row["status"] != "AVAILABLE"} == live
    assert {row["status"] for row in facts.rows["seats"]} <= {"AVAILABLE", "BOOKED"}
    assert [row["saga_id"] for row in facts.rows["passengers"]] == [booking["id"]]


def _assert_money(facts: Facts, booking: Row, scenario: Scenario, *, is_booked: bool, is_cancelled: bool) -> None:
    """The provider's books and ours agree: taken once, or not at all; and nothing is there that we do not know of."""
    payments, entries = facts.rows["payments"], facts.rows["entries"]
    assert {row["reference"] for row in entries} == {row["reference"] for row in payments}
    assert {row["saga_id"] for row in payments} <= {booking["id"]}
    assert len(payments) == len(entries) <= 1
    context = json.loads(booking["context"])
    if is_booked:
        entry = _one(entries)
        assert (entry["authorizations"], entry["captures"], entry["voids"]) == (1, 1, 0)
        assert (entry["amount"], entry["currency"]) == (context["payable"], context.get("currency", "USD"))
        assert entry["refunds"] == is_cancelled
        assert entry["state"] == ("REFUNDED" if is_cancelled else "CAPTURED")
    for entry in entries:
        payment = _one(payments)
        assert payment["status"] == entry["state"]
        assert (payment["amount_minor"], payment["currency"]) == (context["payable"], context.get("currency", "USD"))
        if not is_booked:
            assert entry["state"] in ("VOIDED", "REFUNDED")
            assert entry["authorizations"] <= 1
            assert entry["captures"] == entry["refunds"] <= 1
            assert entry["voids"] == 1 - entry["refunds"]
    _assert_keys(facts, scenario)


def _assert_keys(facts: Facts, scenario: Scenario) -> None:
    """A key names its saga, step, operation and round.

    A round ends only with a fault that is proven without effect, with a card that was declined or refused, or with a
    refund that has failed.
    """
    known = {row["correlation_id"] for row in facts.rows["sagas"]}
    # A fault that is found to have had its effect also ends an operation.
    ends = {"OK", "NEEDS_HOLDER", "REFUND_PENDING"} | {
        "PROVIDER_ERROR" for _, what, after in scenario.wrongs if what == "ERROR" and after
    }
    codes: dict[tuple[str, str, str], dict[int, str]] = {}
    for row in facts.rows["answers"]:
        if row["key"].startswith(("holder:", "finish:")):
            # The answer of a card's holder, or the end of a refund, which are none of our requests.
            continue
        correlation_id, step, operation, round_ = row["key"].split(":")
        assert correlation_id in known
        codes.setdefault((correlation_id, step, operation), {})[int(round_)] = row["code"]
    of_steps: dict[tuple[str, str], set[int]] = {}
    for (correlation_id, step, _), rounds in codes.items():
        of_steps.setdefault((correlation_id, step), set()).update(rounds)
    for used in of_steps.values():
        # A step's operations share its round: if `open` has spent the first, `authorize` begins with the second.
        assert sorted(used) == list(range(1, len(used) + 1))
    for rounds in codes.values():
        assert sorted(rounds) == list(range(min(rounds), max(rounds) + 1))
        *spent, last = (rounds[number] for number in sorted(rounds))
        assert set(spent) <= {"PROVIDER_ERROR", "PAYMENT_DECLINED", "REFUND_PENDING"}
        assert last in ends


def _assert_loyalty(facts: Facts, booking: Row, *, is_booked: bool, is_cancelled: bool) -> None:
    """Each entry once, in its order; an account is the sum of its entries."""
    context = json.loads(booking["context"])
    miles, points = context.get("miles", 0), context.get("points", 0)
    if booking["definition"] == DefinitionName.BOOK_AND_EARN:
        assert miles > 0
        done, undone = [("AWARDED", 0, miles)], [("REVERSED", 0, -miles)]
        posted, restored = [("POSTED", miles, -miles)], [("REVERSED", -miles, 0)]
    else:
        assert points > 0
        done, undone = [("REDEEMED", -points, 0)], [("REFUNDED", points, 0)]
        posted, restored = [], undone
    own = sorted(facts.of("loyalty_entries", saga_id=booking["id"]), key=lambda row: str(row["id"]))
    changes = [(row["reason"], row["points"], row["pending_points"]) for row in own]
    if is_cancelled:
        assert changes == done + posted + restored
    elif is_booked:
        assert changes == done + posted
    else:
        assert changes in ([], done + undone)
    for account in facts.rows["loyalty_accounts"]:
        entries = facts.of("loyalty_entries", member_number=account["member_number"])
        assert account["balance"] == sum(row["points"] for row in entries)
        assert account["pending"] == sum(row["pending_points"] for row in entries) == 0
        if account["member_number"] != ADA:
            assert account["balance"] == BALANCE
    ada = _one(facts.of("loyalty_accounts", member_number=ADA))
    assert ada["balance"] == BALANCE + sum(change for _, change, _ in changes)


def _assert_booking(facts: Facts, booking: Row, cancellation: Row | None) -> None:
    """A booking is there where its saga completed, and it is CANCELLED by the one cancellation where there is one."""
    made = facts.rows["bookings"]
    if booking["status"] != "COMPLETED":
        assert made == []
        return
    row = _one(made)
    assert row["saga_id"] == booking["id"]
    assert row["status"] == ("CANCELLED" if cancellation else "CONFIRMED")
    assert row["cancellation_id"] == (cancellation["id"] if cancellation else None)
    assert row["reference"] == json.loads(booking["context"])["booking_reference"]
