"""A saga that waits: it costs its rows alone, and a word, its deadline, a cancel or its own look ends the wait."""

from __future__ import annotations

import pytest

from domain.actors import Actor, ActorRole
from domain.clock import SECOND
from domain.events import EventType
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import NotAwaited, SagaEngine, SagaStatus, Started, StepStatus, WordSaid, WordStands
from domain.storage import Database
from tests.domain.saga.till import CARD, HOLDER, WAIT_SECONDS, Till, begin, till_engine, waits
from tests.domain.saga.toy import Provider, ended, history
from tests.support.waiting import eventually

DECLINED = Refused("DECLINED", "The card was declined.", key_spent=True)
ASKS = Unknown("HOLDER", "The bank asks the card's holder.")
SOMEONE = Actor(ActorRole.CUSTOMER, "someone")
VISA = '"visa"'


@pytest.fixture
def till(provider: Provider) -> Till:
    return Till(provider)


async def of_pay(engine: SagaEngine, started: Started) -> list[tuple[str, int | None]]:
    """What happened at PAY, and the attempts."""
    return [(event.type.value, event.attempt) for event in await history(engine, started) if event.step == "PAY"]


# ---------------------------------------------------------------------- how a wait ends


async def test_a_saga_waits_and_a_word_lets_it_go_on(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        found = await waits(engine, started)
        assert (found.steps[1].status, found.steps[1].attempt) == (StepStatus.WAITING, 0)
        assert (found.queue.executing, found.queue.compensations) == ("PAY", ("RELEASE",))
        assert found.awaiting is not None
        assert (found.awaiting.step, found.awaiting.failure) == ("PAY", None)
        assert found.awaiting.until - found.awaiting.since == WAIT_SECONDS * SECOND
        said = await engine.say(started.correlation_id, CARD, VISA, actor=SOMEONE)
        assert isinstance(said, WordSaid)
        assert [(event.type, event.actor) for event in said.events] == [(EventType.STEP_RESUMED, SOMEONE)]
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.words == [VISA]
        assert await of_pay(engine, started) == [
            ("STEP_WAITING", None),
            ("STEP_RESUMED", None),
            ("STEP_STARTED", 1),
            ("STEP_COMPLETED", 1),
        ]
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordStands)
        assert isinstance(await engine.say(started.correlation_id, CARD, '"amex"'), NotAwaited)


async def test_after_a_decline_another_card_is_tried_under_a_new_round(database: Database, till: Till) -> None:
    till.provider.script("PAY", DECLINED)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="empty")
        found = await waits(engine, started)
        assert found.awaiting is not None
        assert found.awaiting.failure is not None
        assert (found.awaiting.failure.code, found.awaiting.failure.step) == ("DECLINED", "PAY")
        await engine.say(started.correlation_id, CARD, VISA, actor=SOMEONE)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.rounds == [1, 2]
        assert await of_pay(engine, started) == [
            ("STEP_STARTED", 1),
            ("STEP_WAITING", 1),
            ("STEP_RESUMED", None),
            ("STEP_STARTED", 1),
            ("STEP_COMPLETED", 1),
        ]


@pytest.mark.parametrize("keeps_effect", [False, True])
async def test_a_spent_round_is_undone_only_where_others_can_still_make_it_take_effect(
    database: Database, provider: Provider, keeps_effect: bool
) -> None:
    till = Till(provider, keeps_effect=keeps_effect)
    provider.script("PAY", DECLINED)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="empty")
        await waits(engine, started)
        await engine.cancel(started.correlation_id)
        found = await ended(engine, started)
        assert found.status is SagaStatus.COMPENSATED
        assert found.queue.compensated == (("UNPAY", "RELEASE") if keeps_effect else ("RELEASE",))


async def test_a_cancel_turns_a_waiting_saga_round_at_once(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        await waits(engine, started)
        await engine.cancel(started.correlation_id)
        found = await ended(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "CANCELLED")
        assert await of_pay(engine, started) == [("STEP_WAITING", None), ("STEP_FAILED", None)]


async def test_at_the_deadline_a_waiting_saga_turns_round_by_itself(database: Database, provider: Provider) -> None:
    till = Till(provider, wait_seconds=0.2)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        found = await ended(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
        assert await of_pay(engine, started) == [
            ("STEP_WAITING", None),
            ("HOLD_EXPIRED", None),
            ("STEP_FAILED", None),
        ]


async def test_looks_are_quiet_until_one_finds_what_was_waited_for(database: Database, provider: Provider) -> None:
    till = Till(provider, look_seconds=0.05)
    provider.script("PAY", ASKS)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="asks")
        await waits(engine, started, HOLDER)
        await eventually(lambda: till.looks >= 3)
        provider.script("LOOK", Succeeded("paid"))
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert await of_pay(engine, started) == [
            ("STEP_STARTED", 1),
            ("STEP_WAITING", 1),
            ("STEP_RESUMED", None),
            ("STEP_COMPLETED", 1),
        ]
