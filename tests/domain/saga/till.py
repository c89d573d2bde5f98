"""A saga that waits: RESERVE (local), PAY (remote, waits for a card or for its holder), SHIP (local, the pivot)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import msgspec

from domain.clock import SECOND
from domain.outcome import Busy, Outcome, Refused, Succeeded, Unknown
from domain.saga import (
    Again,
    Batch,
    Compensation,
    Local,
    Member,
    PrepareVerdict,
    Ready,
    Remote,
    RetryPolicy,
    SagaDefinition,
    SagaEngine,
    SagaView,
    SettleVerdict,
    Simulation,
    Started,
    StartRequest,
    Step,
    Waiting,
)
from domain.storage import Database
from tests.domain.saga.toy import FAST, FAST_UNDO, Provider, reached

__all__ = ["ASKS", "CARD", "HOLDER", "WAIT_SECONDS", "Basket", "Till", "begin", "till_engine", "waits"]

CARD: Final = "CARD"
#: The provider's answer if the card's holder is to be asked.
ASKS: Final = Unknown("HOLDER", "The bank asks the card's holder.")
HOLDER: Final = "HOLDER"
WAIT_SECONDS: Final = 900.0


class Basket(msgspec.Struct):
    """What a saga carries: the card that it pays with, if it has one."""

    card: str | None = None


class Till:
    """The steps. A call of PAY answers as the provider is scripted; looks are calls of `LOOK`.

    A refusal DECLINED asks for another card, and ASKS for the card's holder.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        wait_seconds: float = WAIT_SECONDS,
        look_seconds: float | None = None,
        policy: RetryPolicy = FAST,
        keeps_effect: bool = False,
    ) -> None:
        self.provider = provider
        self.wait_seconds = wait_seconds
        self.look_seconds = look_seconds
        self.keeps_effect = keeps_effect
        self.deadline_seconds: float | None = None
        self.words: list[str] = []
        """Every word that a prepare was given, also in transactions that did not commit."""
        self.troubles: list[Exception | Busy] = []
        """What happens to the next prepares that get a word."""
        self.looks = 0
        self.rounds: list[int] = []
        undo = Local(self.settle_undo)
        self.definition = SagaDefinition(
            "TILL",
            1,
            Basket,
            (
                Step("RESERVE", Local(self.reserve), Compensation("RELEASE", undo, FAST_UNDO), policy),
                Step(
                    "PAY",
                    Remote(self.call, self.prepare, self.settle),
                    Compensation("UNPAY", Remote(provider.call), FAST_UNDO),
                    policy,
                    can_wait=True,
                ),
                Step("SHIP", Local(self.ship), Compensation("UNSHIP", undo, FAST_UNDO), policy),
            ),
            pivot="SHIP",
            expired=Refused("HOLD_EXPIRED", "The hold is over."),
        )

    async def reserve(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        if self.deadline_seconds is not None:
            until = batch.at + round(self.deadline_seconds * SECOND)
            batch.deadlines |= dict.fromkeys(batch.saga_ids, until)
        return [Succeeded() for _ in batch.members]

    async def prepare(self, batch: Batch[Basket]) -> Sequence[PrepareVerdict]:
        verdicts: list[PrepareVerdict] = []
        for member in batch.members:
            if member.word is not None:
                self.words.append(member.word)
                trouble = self.troubles.pop() if self.troubles else None
                if isinstance(trouble, Exception):
                    raise trouble
                if trouble is not None:
                    verdicts.append(trouble)
                    continue
                member.context.card = msgspec.json.decode(member.word, type=str)
            if member.is_look and member.wait is not None and member.wait.wants == HOLDER:
                verdicts.append(Ready())
            elif member.context.card is None:
                verdicts.append(self.wait(batch.at, CARD))
            else:
                verdicts.append(Ready())
        return verdicts

    async def call(self, member: Member[Basket]) -> Outcome:
        if not member.is_look:
            self.rounds.append(member.round)
            return await self.provider.call(member)
        self.looks += 1
        script = self.provider.answers.get("LOOK")
        gate = self.provider.gates.get("LOOK")
        if gate is not None:
            await gate.wait()
        return script.popleft() if script else ASKS

    async def settle(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        verdicts: list[SettleVerdict] = []
        for member in batch.members:
            match member.outcome:
                case Refused("DECLINED") as declined:
                    member.context.card = None
                    verdicts.append(
                        self.wait(batch.at, CARD, failure=declined, round_spent=True, keeps_effect=self.keeps_effect)
                    )
                case Unknown("HOLDER"):
                    verdicts.append(self.wait(batch.at, HOLDER))
                case Succeeded("again"):
                    verdicts.append(Again())
                case outcome:
                    assert outcome is not None
                    verdicts.append(outcome)
        return verdicts

    def wait(self, at: int, wants: str, **more: Any) -> Waiting:
        look_at = None if self.look_seconds is None or wants == CARD else at + round(self.look_seconds * SECOND)
        return Waiting(at + round(self.wait_seconds * SECOND), wants, look_at, **more)

    async def ship(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        return [Succeeded("shipped") for _ in batch.members]

    async def settle_undo(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        return [Succeeded() for _ in batch.members]


@asynccontextmanager
async def till_engine(database: Database, till: Till, **options: Any) -> AsyncIterator[SagaEngine]:
    """A replica that runs these sagas."""
    more = {"poll_seconds": 0.05, "lease_seconds": 3.0} | options
    engine = SagaEngine(database, [till.definition], **more)
    await engine.open()
    try:
        yield engine
    finally:
        for gate in till.provider.gates.values():
            gate.set()
        await engine.close()


class Defines(Protocol):
    """The owner of a definition."""

    definition: SagaDefinition


async def begin(
    engine: SagaEngine, of: Defines | SagaDefinition, *, card: str | None = None, simulation: Simulation | None = None
) -> Started:
    """Start one."""
    definition = of if isinstance(of, SagaDefinition) else of.definition
    answer = await engine.start(
        StartRequest(definition, str(uuid.uuid4()), "someone", "1:fingerprint", Basket(card), (), simulation)
    )
    assert isinstance(answer, Started)
    return answer


async def waits(engine: SagaEngine, started: Started, wants: str = CARD) -> SagaView:
    """The saga once it waits for this."""
    found = await reached(engine, started, "WAITING")
    assert found.awaiting is not None
    assert found.awaiting.wants == wants
    return found
