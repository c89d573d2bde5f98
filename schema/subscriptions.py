"""Every subscription.

Yielded values have a `moment`, if there is one. Subscribers with the same question about the same
moment share one answer (see `frames`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from functools import lru_cache
from typing import Annotated, Final

import strawberry

from domain import saga as domain_saga
from domain.events import CHANGES_SAGAS_MAX
from domain.seats import Seat as DomainSeat
from schema.bulk_actions import BulkAction, bulk_key
from schema.context import RequestInfo, Scope, require_scope
from schema.errors import bad_input, not_found
from schema.flights import Seat
from schema.inputs import SagaFilter, flight_id_of
from schema.sagas import Saga, SagaChange, SagaEvent
from schema.scalars import Uuid

__all__ = ["Subscription"]

#: The same object for all subscribers to which an event is delivered at about the same time.
_shared: Final = lru_cache(maxsize=64)(SagaEvent.of)


@strawberry.type(description="What can be watched.")
class Subscription:
    @strawberry.subscription(
        description=(
            "Every event after `after`, first those that have happened, then live; ends after the saga's terminal "
            "event. An ID that does not exist yet is waited for, then NOT_FOUND; so a client may subscribe first "
            "and book second."
        )
    )
    async def saga_events(
        self,
        info: RequestInfo,
        correlation_id: Annotated[Uuid, strawberry.argument(description="The saga's.")],
        after: Annotated[int, strawberry.argument(description="The last sequence seen; 0 for none.")] = 0,
    ) -> AsyncGenerator[SagaEvent, None]:
        if after < 0:
            raise bad_input(f"after must not be negative; got {after}.", "after")
        subject, engine = info.context.viewer.sees_only, info.context.services.engine
        info.context.note_correlation(correlation_id)
        view = await engine.awaited(correlation_id, subject=subject)
        seen = max(after, info.context.resume_after)
        async with aclosing(engine.follow(view.id, after=seen)) as followed:
            async for event in followed:
                yield _shared(event)

    @strawberry.subscription(
        description=(
            "The saga now, and again after each change (changes that come together may share a frame); "
            "ends after its terminal state."
        )
    )
    async def saga(
        self,
        info: RequestInfo,
        correlation_id: Annotated[Uuid, strawberry.argument(description="The saga's.")],
    ) -> AsyncGenerator[Saga, None]:
        subject, engine = info.context.viewer.sees_only, info.context.services.engine
        info.context.note_correlation(correlation_id)
        view = await engine.awaited(correlation_id, subject=subject)
        shown = view.sequence
        yield Saga.of(view)
        if view.status.is_terminal:
            return
        async with aclosing(engine.follow(view.id, after=shown)) as followed:
            async for event in followed:
                if event.sequence <= shown:
                    # The frame already sent includes it.
                    continue
                latest = await engine.watched(correlation_id, subject=subject)
                if latest is None:
                    raise not_found("The saga is gone.")
                shown = latest.sequence
                yield Saga.of(latest)
                if latest.status.is_terminal:
                    return

    @strawberry.subscription(
        description=(
            "Operator: events of all sagas as they happen, in order within each saga. A live view: after connecting, "
            "query `sagas` for what came before."
        )
    )
    async def saga_feed(
        self,
        info: RequestInfo,
        filter: Annotated[SagaFilter | None, strawberry.argument(description="Of which sagas.")] = None,
    ) -> AsyncGenerator[SagaEvent, None]:
        require_scope(info, Scope.SAGAS_READ)
        engine = info.context.services.engine
        query = filter.query(None) if filter else domain_saga.SagaQuery()
        async with aclosing(engine.feed.follow_all()) as followed:
            async for event in followed:
                if await _matching(info, query, [event.saga_id]):
                    yield SagaEvent.of(event)

    @strawberry.subscription(
        description=(
            "Operator: the sagas that change, each as it stands, at most once a second: for lists, which need the "
            "present and not each event. A slow client gets fewer frames, never old ones. With `of`, first these sagas "
            "as they stand, and then only their changes."
        )
    )
    async def saga_changes(
        self,
        info: RequestInfo,
        filter: Annotated[
            SagaFilter | None,
            strawberry.argument(description="What `SagaChange.matches` tells; it leaves nothing out."),
        ] = None,
        of: Annotated[
            list[Uuid] | None,
            strawberry.argument(description="Only the sagas with these correlation IDs, at most 100."),
        ] = None,
    ) -> AsyncGenerator[list[SagaChange], None]:
        require_scope(info, Scope.SAGAS_READ)
        if of is not None and len(of) > CHANGES_SAGAS_MAX:
            raise bad_input(f"of may name at most {CHANGES_SAGAS_MAX} sagas; got {len(of)}.", "of")
        query = filter.query(None) if filter else domain_saga.SagaQuery()
        with info.context.services.engine.feed.changes() as changes:
            if of:
                yield await _changes(info, query, await _known(info, of))
            while True:
                events = await changes.take()
                ids = [event.saga_id for event in events if of is None or event.correlation_id in of]
                if ids:
                    yield await _changes(info, query, ids)

    @strawberry.subscription(description="Operator: progress of a bulk action; ends when it is finished.")
    async def bulk_action(
        self,
        info: RequestInfo,
        id: Annotated[strawberry.ID, strawberry.argument(description="The bulk action's id.")],
    ) -> AsyncGenerator[BulkAction, None]:
        require_scope(info, Scope.SAGAS_READ, Scope.SAGAS_MEND)
        key = bulk_key(id)
        found = None if key is None else await info.context.loaders.bulk_action.load(key)
        if key is None or BulkAction.shown(found, info.context.viewer) is None:
            raise not_found("There is no bulk action with this id.")
        async with aclosing(info.context.services.bulk.follow(key)) as followed:
            async for action in followed:
                yield BulkAction.of(action)

    @strawberry.subscription(description="First all 162 seats, then those that changed, as they now stand.")
    async def seat_changes(
        self,
        info: RequestInfo,
        flight_id: Annotated[strawberry.ID, strawberry.argument(description="The flight's id.")],
    ) -> AsyncGenerator[list[Seat], None]:
        number = flight_id_of(flight_id)
        if number is None or await info.context.loaders.flight.load(number) is None:
            raise not_found("There is no flight with this id.")
        async with aclosing(info.context.services.seat_changes.follow(number)) as followed:
            async for seats in followed:
                yield _Seats(seats)


class _Seats(list[Seat]):
    """Seats with their current status. Subscribers that get the same seats share one answer."""

    def __init__(self, seats: Sequence[DomainSeat]) -> None:
        super().__init__(Seat.of(seat) for seat in seats)
        self.moment = tuple(seats)


async def _changes(info: RequestInfo, query: domain_saga.SagaQuery | None, saga_ids: Sequence[str]) -> list[SagaChange]:
    matching = await _matching(info, query, saga_ids)
    return [SagaChange(saga_id=saga_id, matches=saga_id in matching) for saga_id in saga_ids]


async def _known(info: RequestInfo, correlation_ids: Sequence[Uuid]) -> list[str]:
    """The ids of those sagas that exist."""
    asks = [(str(correlation_id), None) for correlation_id in correlation_ids]
    async with info.context.services.database.reading() as connection:
        views = await domain_saga.by_correlation_ids(connection, asks)
    return [view.id for view in views if view is not None]


async def _matching(info: RequestInfo, query: domain_saga.SagaQuery | None, saga_ids: Sequence[str]) -> Collection[str]:
    """Which of these sagas match the filter now; None: nothing can."""
    if query is None:
        return ()
    if query == domain_saga.SagaQuery():
        return saga_ids
    async with info.context.services.database.reading() as connection:
        return await domain_saga.matching(connection, query, saga_ids)
