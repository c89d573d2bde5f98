"""What a signal answers and leaves, for a saga that stands anywhere: its row, its log and the record of operators."""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import events
from domain.actors import SCHEDULER
from domain.events import EventType, Failure, SagaEvent
from domain.ids import new_id
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.outcome import Refused
from domain.saga import (
    CancelRequested,
    NothingToSettle,
    NothingToUndo,
    NotWaiting,
    PivotDecided,
    RetryRequested,
    SagaStatus,
    Settled,
    SkipRequested,
    signals,
)
from domain.saga.states import Direction, Phase
from domain.saga.tables import NOBODY, saga_steps, sagas
from domain.storage import Database
from tests.support.asking import A_CUSTOMER, operator
from tests.support.statements import statements

OURS: Final = "11111111-1111-1111-1111-111111111111"
THEIRS: Final = "22222222-2222-2222-2222-222222222222"
#: When the signal comes; before it the saga was due at LATER.
AT: Final = 5_000
LATER: Final = 9_000
GRACE: Final = operator("grace", "she said so", "request-7")
KNOWN: Final = {("TRIP", 1)}
WHY: Final = Refused("TOO_LATE", "It took too long.")


class Standing:
    """A saga as its row has it: it pays, which REFUND undoes, at its second attempt."""

    def __init__(self, database: Database, **values: Any) -> None:
        self.database = database
        self.id = new_id()
        self.correlation_id = str(uuid.uuid4())
        self.values: dict[str, Any] = {
            "id": self.id,
            "correlation_id": self.correlation_id,
            "definition": "TRIP",
            "version": 1,
            "subject": "someone",
            "fingerprint": "1:x",
            "status": SagaStatus.RUNNING.value,
            "direction": Direction.FORWARD.value,
            "phase": Phase.READY.value,
            "position": 1,
            "attempt": 2,
            "round": 1,
            "uncertain": 0,
            "effects": 1,
            "context": "{}",
            "given_up": 0,
            "replica": OURS,
            "epoch": 4,
            "sequence": 6,
            "started_at": 1,
            "updated_at": 2,
            "due_at": LATER,
            **{name: getattr(value, "value", value) for name, value in values.items()},
        }
        if SagaStatus(self.values["status"]).is_terminal:
            self.values |= {"finished_at": 3, "due_at": None}
        if self.values["phase"] == Phase.CALLING.value or self.values["status"] == SagaStatus.PARKED.value:
            self.values["due_at"] = None

    async def write(self) -> Standing:
        async def work(connection: AsyncConnection) -> None:
            await connection.execute(insert(sagas).values(self.values))
            for position, (name, undo) in enumerate((("HOLD", "UNHOLD"), ("PAY", "REFUND"), ("MAIL", None))):
                step = {"saga_id": self.id, "position": position, "name": name, "compensation": undo}
                await connection.execute(insert(saga_steps).values(status="PENDING", attempt=0, undo_attempt=0, **step))

        await self.database.write(work)
        return self

    async def changed(self) -> dict[str, Any]:
        """The columns of its row that are not as they were written."""
        async with self.database.reading() as connection:
            row = (await connection.execute(select(sagas).where(sagas.c.id == self.id))).mappings().one()
        return {name: value for name, value in row.items() if value != self.values.get(name)}

    async def log(self) -> list[SagaEvent]:
        async with self.database.reading() as connection:
            return await events.read(connection, self.id, after=0)

    async def record(self) -> list[OperatorAction]:
        async with self.database.reading() as connection:
            return await page_actions(connection, ActionQuery(saga_id=self.id), after=None, limit=10)

    async def told(self) -> list[tuple[str, str | None, str | None, str | None]]:
        """(kind, reason, before, after) of each entry of the record."""
        return [(each.kind, each.reason, each.before, each.after) for each in await self.record()]


@pytest.fixture
def stand(database: Database) -> Any:
    async def standing(**values: Any) -> Standing:
        # Beside another, which no signal may touch.
        await Standing(database).write()
        return await Standing(database, **values).write()

    return standing


async def cancel(saga: Standing, asked: Any = None) -> Any:
    return await saga.database.write(
        lambda connection: signals.request_cancel(connection, saga.correlation_id, AT, asked)
    )


async def retry(saga: Standing, asked: Any = None) -> Any:
    return await saga.database.write(
        lambda connection: signals.request_retry(
            connection, saga.correlation_id, AT, asked, replica_id=THEIRS, known=KNOWN
        )
    )


async def skip(saga: Standing, step: str, asked: Any = None) -> Any:
    return await saga.database.write(
        lambda connection: signals.request_skip(connection, saga.correlation_id, step, "by hand", AT, asked)
    )


async def untouched(saga: Standing) -> bool:
    return (await saga.changed(), await saga.log(), await saga.record()) == ({}, [], [])


# ---------------------------------------------------------------------- cancel


async def test_a_cancel_is_left_with_its_event_and_the_saga_is_due_now(stand: Any) -> None:
    saga = await stand()
    answer = await cancel(saga, GRACE)
    said = SagaEvent(
        saga.id,
        saga.correlation_id,
        7,
        EventType.CANCEL_REQUESTED,
        None,
        None,
        None,
        "Cancel requested.",
        None,
        AT,
        GRACE.by,
    )
    assert answer == CancelRequested(saga.id, (said,))
    assert await saga.log() == [said]
    assert await saga.changed() == {"cancel_requested_at": AT, "sequence": 7, "due_at": AT}
    before = "RUNNING at PAY, attempt 2"
    assert await saga.told() == [("CANCEL_SAGA", "she said so", before, f"{before}; cancel requested")]
    (entry,) = await saga.record()
    assert (entry.at, entry.by, entry.request_id, entry.saga_id) == (AT, GRACE.by, "request-7", saga.id)


@pytest.mark.parametrize("asked", [None, A_CUSTOMER])
async def test_a_cancel_that_no_operator_asks_for_is_not_on_the_record(stand: Any, asked: Any) -> None:
    saga = await stand()
    await cancel(saga, asked)
    assert await saga.record() == []
    assert (await saga.log())[0].actor == (asked.by if asked else None)


@pytest.mark.parametrize("values", [{"phase": Phase.CALLING}, {"status": SagaStatus.PARKED, "replica": NOBODY}])
async def test_a_signal_makes_nothing_due_while_a_call_is_out_or_nobody_owns_the_saga(stand: Any, values: Any) -> None:
    saga = await stand(**values)
    assert isinstance(await cancel(saga), CancelRequested)
    assert await saga.changed() == {"cancel_requested_at": AT, "sequence": 7}


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ({"status": SagaStatus.COMPLETED}, PivotDecided),
        ({"pinned_at": 4}, PivotDecided),
        ({"status": SagaStatus.COMPENSATED, "direction": Direction.BACKWARD}, NothingToUndo),
        ({"status": SagaStatus.ABANDONED}, NothingToUndo),
        ({"status": SagaStatus.COMPENSATING, "direction": Direction.BACKWARD}, NothingToUndo),
        ({"status": SagaStatus.COMPENSATING, "direction": Direction.BACKWARD, "pinned_at": 4}, NothingToUndo),
        ({"cancel_requested_at": 4}, NothingToUndo),
    ],
)
async def test_a_cancel_that_changes_nothing_says_why(stand: Any, values: Any, answer: type[Any]) -> None:
    saga = await stand(**values)
    assert await cancel(saga, GRACE) == answer(saga.id)
    assert await untouched(saga)


# ---------------------------------------------------------------------- retry


@pytest.mark.parametrize(
    ("values", "before"),
    [
        ({}, "RUNNING at PAY, attempt 2"),
        ({"status": SagaStatus.STUCK, "direction": Direction.BACKWARD, "attempt": 0}, "STUCK at REFUND, attempt 0"),
        (
            {"status": SagaStatus.COMPENSATING, "direction": Direction.BACKWARD, "position": 2},
            "COMPENSATING at MAIL, attempt 2",
        ),
    ],
)
async def test_a_retry_makes_the_next_attempt_due_now(stand: Any, values: Any, before: str) -> None:
    saga = await stand(**values)
    assert await retry(saga, GRACE) == RetryRequested(saga.id, saga.correlation_id)
    assert await saga.changed() == {"retry_requested_at": AT, "due_at": AT}
    assert await saga.told() == [("RETRY_SAGA", "she said so", before, f"{before}; retry requested")]


async def test_a_retry_of_what_is_stuck_waits_for_a_call_that_is_out(stand: Any) -> None:
    saga = await stand(status=SagaStatus.STUCK, phase=Phase.CALLING)
    assert await retry(saga) == RetryRequested(saga.id, saga.correlation_id)
    assert await saga.changed() == {"retry_requested_at": AT}


@pytest.mark.parametrize(
    "values",
    [
        {"attempt": 0},
        {"phase": Phase.CALLING},
        {"status": SagaStatus.COMPLETED},
        {"status": SagaStatus.ABANDONED},
    ],
)
async def test_a_saga_that_waits_for_no_attempt_has_nothing_to_retry(stand: Any, values: Any) -> None:
    saga = await stand(**values)
    assert await retry(saga, GRACE) == NotWaiting(saga.id, "The saga does not wait for another attempt.")
    assert await untouched(saga)


async def test_a_retry_takes_a_parked_saga_for_the_replica_that_was_asked(stand: Any) -> None:
    saga = await stand(status=SagaStatus.PARKED, replica=NOBODY, position=9)
    assert await retry(saga, GRACE) == RetryRequested(saga.id, saga.correlation_id, taken_up=True)
    assert await saga.changed() == {"replica": THEIRS, "epoch": 5, "retry_requested_at": AT, "due_at": AT}
    before = "PARKED at position 9"
    assert await saga.told() == [("RETRY_SAGA", "she said so", before, f"{before}; retry requested")]


@pytest.mark.parametrize("values", [{"version": 2}, {"definition": "CRUISE"}])
async def test_a_parked_saga_that_this_replica_does_not_know_stays_with_nobody(stand: Any, values: Any) -> None:
    saga = await stand(status=SagaStatus.PARKED, replica=NOBODY, **values)
    what = f"{saga.values['definition']} version {saga.values['version']}"
    said = f"This replica does not know {what}; retry the saga at one that does."
    assert await retry(saga, GRACE) == NotWaiting(saga.id, said)
    assert await untouched(saga)


# ---------------------------------------------------------------------- skip


@pytest.mark.parametrize(("phase", "due"), [(Phase.READY, {"due_at": AT}), (Phase.CALLING, {})])
async def test_a_skip_of_what_is_stuck_is_left_with_its_reason(stand: Any, phase: Phase, due: Any) -> None:
    saga = await stand(status=SagaStatus.STUCK, direction=Direction.BACKWARD, phase=phase)
    assert await skip(saga, "PAY", GRACE) == SkipRequested(saga.id, saga.correlation_id)
    assert await saga.changed() == {"skip_step": "PAY", "skip_reason": "by hand", **due}
    before = "STUCK at REFUND, attempt 2"
    # The reason of the skip, not of whoever asks.
    assert await saga.told() == [("SKIP_STEP", "by hand", before, f"{before}; skip of PAY requested")]


async def test_a_skip_that_nobody_is_named_for_is_left_all_the_same(stand: Any) -> None:
    saga = await stand(status=SagaStatus.STUCK)
    assert await skip(saga, "PAY") == SkipRequested(saga.id, saga.correlation_id)
    assert await saga.record() == []


async def test_only_the_step_that_is_stuck_can_be_skipped(stand: Any) -> None:
    stuck = await stand(status=SagaStatus.STUCK)
    said = "The saga is stuck at PAY, not at HOLD."
    assert await skip(stuck, "HOLD", GRACE) == NotWaiting(stuck.id, said)
    assert await untouched(stuck)
    for status in (SagaStatus.RUNNING, SagaStatus.COMPENSATING, SagaStatus.COMPLETED):
        saga = await stand(status=status)
        assert await skip(saga, "PAY", GRACE) == NotWaiting(saga.id, "The saga is not stuck.")
        assert await untouched(saga)


# ---------------------------------------------------------------------- many at once


STUCK: Final = {"status": SagaStatus.STUCK, "direction": Direction.BACKWARD}


async def many(database: Database, kind: str, sagas_: list[Standing], **more: Any) -> dict[str, Any]:
    """What each of these sagas answers to one signal for all of them."""
    saga_ids = [saga.id for saga in sagas_]

    async def work(connection: AsyncConnection) -> Any:
        match kind:
            case "cancel":
                return await signals.request_cancels(connection, saga_ids, AT, GRACE)
            case "retry":
                return await signals.request_retries(
                    connection, saga_ids, AT, GRACE, replica_id=THEIRS, known=KNOWN, **more
                )
            case _:
                return await signals.request_skips(connection, saga_ids, "PAY", "by hand", AT, GRACE)

    found: dict[str, Any] = await database.write(work)
    return found


MIXED: Final[list[dict[str, Any]]] = [
    {},
    STUCK,
    {"status": SagaStatus.STUCK, "direction": Direction.BACKWARD, "position": 0},
    {"status": SagaStatus.STUCK, "phase": Phase.CALLING},
    {"status": SagaStatus.PARKED, "replica": NOBODY, "position": 9},
    {"status": SagaStatus.PARKED, "replica": NOBODY, "version": 2},
    {"status": SagaStatus.COMPLETED},
    {"status": SagaStatus.ABANDONED},
    {"attempt": 0},
    {"pinned_at": 4},
    {"cancel_requested_at": 4},
]


@pytest.mark.parametrize("kind", ["cancel", "retry", "skip"])
async def test_a_signal_for_many_answers_and_leaves_what_one_for_each_would(stand: Any, kind: str) -> None:
    together = [await stand(**values) for values in MIXED]
    apart = [await stand(**values) for values in MIXED]
    answers = await many(together[0].database, kind, together)
    for one, other in zip(together, apart, strict=True):
        match kind:
            case "cancel":
                answer = await cancel(other, GRACE)
            case "retry":
                answer = await retry(other, GRACE)
            case _:
                answer = await skip(other, "PAY", GRACE)
        assert type(answers[one.id]) is type(answer)
        assert getattr(answers[one.id], "reason", None) == getattr(answer, "reason", None)
        assert await one.changed() == await other.changed()
        assert await one.told() == await other.told()
        assert [event.message for event in await one.log()] == [event.message for event in await other.log()]
    assert len({type(answer) for answer in answers.values()}) > 1


async def test_parked_sagas_can_be_retried_by_themselves_and_left_out(stand: Any) -> None:
    stuck = await stand(**STUCK)
    parked = await stand(status=SagaStatus.PARKED, replica=NOBODY)
    assert await many(stuck.database, "retry", [stuck, parked], of_parked=True) == {
        stuck.id: NotWaiting(stuck.id, "The saga is not parked."),
        parked.id: RetryRequested(parked.id, parked.correlation_id, taken_up=True),
    }
    parked = await stand(status=SagaStatus.PARKED, replica=NOBODY)
    assert await many(stuck.database, "retry", [stuck, parked], of_parked=False) == {
        stuck.id: RetryRequested(stuck.id, stuck.correlation_id),
        parked.id: NotWaiting(parked.id, "The saga is parked."),
    }


@pytest.mark.parametrize("kind", ["cancel", "retry", "skip"])
async def test_a_signal_for_many_takes_as_many_statements_as_one_for_one(stand: Any, kind: str) -> None:
    database = (await stand()).database
    counts = []
    for number in (1, 40):
        sagas_ = [await stand(**STUCK) if kind != "cancel" else await stand() for _ in range(number)]
        with statements(database) as seen:
            answers = await many(database, kind, sagas_)
        assert len(answers) == number
        # On SQLite a bulk statement is one for each power of two.
        counts.append(len({re.sub(r"(\(\?[^)]*\)(, )?)+", "(...)", each) for each in seen}))
    assert counts[0] == counts[1] <= 8


@pytest.mark.parametrize("backend", ["postgresql"])
@pytest.mark.parametrize("kind", ["cancel", "retry", "skip"])
async def test_a_saga_that_another_transaction_holds_is_left_out_and_not_waited_for(stand: Any, kind: str) -> None:
    held, free = await stand(**STUCK), await stand(**STUCK)
    if kind == "cancel":
        held, free = await stand(), await stand()
    lock = select(sagas.c.id).where(sagas.c.id == held.id).with_for_update()

    async def hold(connection: AsyncConnection) -> dict[str, Any]:
        await connection.execute(lock)
        return await many(held.database, kind, [held, free])

    answers = await held.database.write(hold)
    assert answers.keys() == {free.id}
    assert await untouched(held)


# ---------------------------------------------------------------------- settling


async def settle(saga: Standing, asked: Any = GRACE) -> Any:
    return await saga.database.write(
        lambda connection: signals.settle(connection, saga.correlation_id, "Paid back by hand.", AT, asked)
    )


async def test_what_an_abandoned_saga_left_behind_is_settled_once_with_a_word_of_how(stand: Any) -> None:
    saga = await stand(status=SagaStatus.ABANDONED)
    assert await settle(saga) == Settled(saga.id)
    assert await saga.changed() == {"settled_at": AT}
    # How it was settled, not what else was said; and no event after the terminal one.
    assert await saga.told() == [("SETTLE", "Paid back by hand.", "ABANDONED", "ABANDONED; settled")]
    assert await saga.log() == []
    assert await settle(saga) == NothingToSettle(saga.id, "The saga is settled already.")
    assert len(await saga.told()) == 1


@pytest.mark.parametrize("status", [status for status in SagaStatus if status is not SagaStatus.ABANDONED])
async def test_only_an_abandoned_saga_can_be_settled(stand: Any, status: SagaStatus) -> None:
    saga = await stand(status=status)
    said = f"The saga is {status}; only an ABANDONED saga can be settled."
    assert await settle(saga) == NothingToSettle(saga.id, said)
    assert await untouched(saga)


# ---------------------------------------------------------------------- expiry


async def expire(database: Database, *held: Standing) -> tuple[list[str], list[SagaEvent]]:
    """The sagas that could be locked, and what they were told."""

    async def work(connection: AsyncConnection) -> tuple[list[str], list[SagaEvent]]:
        rows = await signals.lock_unpinned(connection, [saga.id for saga in held])
        return [row.id for row in rows], await signals.expire(connection, rows, AT, WHY)

    return await database.write(work)


async def test_an_expiry_is_told_to_those_that_go_forward_and_do_not_know_it(database: Database, stand: Any) -> None:
    ready, calling = await stand(), await stand(phase=Phase.CALLING, sequence=3)
    pinned = await stand(pinned_at=4)
    deaf = [
        await stand(hold_expired_at=4),
        await stand(status=SagaStatus.COMPENSATING, direction=Direction.BACKWARD),
        await stand(status=SagaStatus.COMPENSATED, direction=Direction.BACKWARD),
        await stand(status=SagaStatus.ABANDONED),
    ]
    locked, told = await expire(database, calling, ready, pinned, *deaf)
    assert locked == sorted(saga.id for saga in (calling, ready, *deaf))
    failure = Failure("TOO_LATE", "It took too long.")
    kind = EventType.HOLD_EXPIRED
    expected = [
        SagaEvent(each.id, each.correlation_id, n, kind, None, None, None, failure.message, failure, AT, SCHEDULER)
        for each, n in ((ready, 7), (calling, 4))
    ]
    assert sorted(told, key=lambda each: -each.sequence) == expected
    assert await ready.log() + await calling.log() == expected
    assert await ready.changed() == {"hold_expired_at": AT, "sequence": 7, "due_at": AT}
    assert await calling.changed() == {"hold_expired_at": AT, "sequence": 4}
    for saga in (pinned, *deaf):
        assert await untouched(saga)


async def test_deadlines_move_for_the_sagas_that_are_named_and_not_over(database: Database, stand: Any) -> None:
    held, over, other = await stand(), await stand(status=SagaStatus.COMPLETED), await stand()
    await database.write(lambda connection: signals.set_deadlines(connection, {held.id: 77, over.id: 78}))
    assert [await saga.changed() for saga in (held, over, other)] == [{"deadline_at": 77}, {}, {}]
