"""An engine that turns only when told to, so that a test decides what comes before what."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.events import EventType
from domain.outcome import Outcome
from domain.saga import SagaView
from domain.saga.executor import Executor
from domain.saga.work import CallOrder, Completion, TurnResult, Work
from tests.domain.bookings.world import World
from tests.support.turning import turned

__all__ = ["TURNS_MAX", "ByHand", "by_hand"]

TURNS_MAX = 40


@dataclass
class ByHand:
    """The sagas of a world whose runner stands still; `turn` is one transaction, `answer` one call to the gateway."""

    world: World
    executor: Executor
    calls: dict[str, CallOrder] = field(default_factory=dict)

    async def turn(self, saga: SagaView, outcome: Outcome | None = None) -> TurnResult:
        """One turn of this saga, settling its call with `outcome` where there is one."""
        completion = None
        if outcome is not None:
            order = self.calls.pop(saga.id)
            completion = Completion(
                order.epoch, order.direction, order.position, order.member.attempt, outcome, place=order.place
            )
        result = await turned(self.executor, [Work(saga.id, completion)])
        self.follow_up(result)
        return result

    def follow_up(self, result: TurnResult) -> None:
        """Keep the calls that may leave, of a turn or of a start; none leaves by itself."""
        for order in result.calls:
            self.calls[order.member.saga_id] = order
        self.world.engine.runner.publish(result.events)

    async def answer(self, saga: SagaView) -> Outcome:
        """Let the saga's call reach the gateway, and answer what it came to."""
        order = self.calls[saga.id]
        return await order.operation.call(order.member)

    async def until_before(self, saga: SagaView, step: str) -> None:
        """Turn until `step` is the next to begin. The booking's delayMs keeps steps in turns of their own."""
        for _ in range(TURNS_MAX):
            found = await self.world.view(saga)
            if next(item.name for item in found.steps if item.finished_at is None) == step:
                return
            await self.advance(saga)
        raise AssertionError(f"{step} is not reached")

    async def until_calling(self, saga: SagaView, step: str) -> None:
        """Turn until the call of `step` may leave; it stays out."""
        await self.until_before(saga, step)
        while saga.id not in self.calls:
            await self.turn(saga)

    async def until_waiting(self, saga: SagaView) -> SagaView:
        """Turn until the saga waits for its customer."""
        for _ in range(TURNS_MAX):
            found = await self.world.view(saga)
            if found.awaiting is not None:
                return found
            await self.advance(saga)
        raise AssertionError("the saga does not wait")

    async def to_the_end(self, saga: SagaView) -> SagaView:
        """Turn until the saga has ended, whatever it takes."""
        for _ in range(TURNS_MAX):
            if (await self.world.view(saga)).status.is_terminal:
                return await self.world.view(saga)
            await self.advance(saga)
        raise AssertionError("the saga does not end")

    async def told(self, saga: SagaView) -> list[EventType]:
        """The types of all events of the saga."""
        return [event.type for event in await self.world.history(saga)]

    async def advance(self, saga: SagaView) -> None:
        """One turn more, settling the saga's call with the gateway's answer where there is one."""
        await self.turn(saga, await self.answer(saga) if saga.id in self.calls else None)


async def by_hand(world: World) -> ByHand:
    """Stop the world's runner; sagas are still started and signalled, and nothing is done about them."""
    for loop in world.engine.runner._loops.values():
        await loop.stop()
    hand = ByHand(world, Executor(world.database, world.engine.definitions, world.engine.replica.id))
    world.engine.runner.started = hand.follow_up  # type: ignore[method-assign]
    return hand
