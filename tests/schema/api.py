"""The API as its callers see it: documents in, answers out, each operation in a context of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from graphql import ExecutionResult

from domain.bulk import BulkActions
from domain.seats import SeatChanges
from schema import ids
from schema.context import RequestContext, Services, Viewer
from schema.execution import Executable, Execution, Rejected
from schema.frames import Frame, encoded
from schema.root import create_schema
from tests.domain.bookings.world import ADA, World

__all__ = ["OPERATOR", "OTHER", "OWNER", "Answer", "Api", "Refused", "Stream", "api_of"]

#: Who books in `World`, someone else, and who may see all.
OWNER: Final = Viewer("someone", is_operator=False, member_number=ADA)
OTHER: Final = Viewer("other", is_operator=False, member_number="SS0000002")
OPERATOR: Final = Viewer("operator", is_operator=True)
FRAME_SECONDS_MAX: Final = 20.0
_SCHEMA: Final = Executable(create_schema())


@dataclass(frozen=True)
class Refused:
    """One error of an answer, without its place in the document."""

    code: str | None
    message: str
    path: tuple[str | int, ...] | None
    extensions: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What one operation, or one frame of a subscription, answered."""

    data: dict[str, Any] | None
    errors: tuple[Refused, ...] = ()

    @classmethod
    def of(cls, result: ExecutionResult | Frame) -> Answer:
        """As it goes over the wire: whatever cannot be written as JSON fails here."""
        response = json.loads(result.body if isinstance(result, Frame) else encoded(result))
        errors = tuple(
            Refused(
                error.get("extensions", {}).get("code"),
                error["message"],
                tuple(error["path"]) if "path" in error else None,
                error.get("extensions", {}),
            )
            for error in response.get("errors", ())
        )
        return cls(response.get("data"), errors)

    @property
    def code(self) -> str | None:
        """The code of its only error."""
        assert len(self.errors) == 1, self
        return self.errors[0].code

    @property
    def refusal(self) -> tuple[str | None, str]:
        """Code and message of its only error, as far as another caller could tell two answers apart by them."""
        assert len(self.errors) == 1, self
        return self.errors[0].code, self.errors[0].message

    @property
    def good(self) -> dict[str, Any]:
        """The data of an answer without errors."""
        assert self.data is not None, self
        assert not self.errors, self
        return self.data


@dataclass
class Stream:
    """A subscription under way."""

    frames: AsyncIterator[Any]
    seen: list[Answer] = field(default_factory=list)

    async def next(self) -> Answer:
        """The next frame; fails where the subscription has ended."""
        async with asyncio.timeout(FRAME_SECONDS_MAX):
            self.seen.append(Answer.of(await anext(self.frames)))
        return self.seen[-1]

    async def until(self, enough: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first frame from here on that is `enough`."""
        while True:
            data = (await self.next()).good
            if enough(data):
                return data

    async def rest(self) -> list[Answer]:
        """Every frame from here on; returns once the subscription has completed."""
        rest = []
        async with asyncio.timeout(FRAME_SECONDS_MAX):
            async for frame in self.frames:
                rest.append(Answer.of(frame))
        self.seen += rest
        return rest


@dataclass
class Api:
    """The schema over a world's services. `schema` may be another one, with other limits."""

    world: World
    services: Services
    schema: Executable = _SCHEMA
    request_id: str | None = None

    def with_closed_accounts(self) -> Api:
        """The same where everyone has a token of their own, and sees their own account alone."""
        return replace(self, services=replace(self.services, accounts_are_open=False))

    def flight_id(self, flight: int = 0) -> str:
        """The node id of one of the world's flights."""
        return ids.encode("Flight", self.world.flight_ids[flight])

    async def ask(self, document: str, viewer: Viewer = OWNER, /, **variables: Any) -> Answer:
        """Execute a query or a mutation."""
        context = RequestContext(self.services, viewer, request_id=self.request_id)
        execution = self.schema.begin(document, variables=variables, context=context)
        return Answer.of(execution.result if isinstance(execution, Rejected) else await execution.result())

    async def read(self, document: str, viewer: Viewer = OWNER, /, **variables: Any) -> dict[str, Any]:
        """The data of an operation that must succeed."""
        return (await self.ask(document, viewer, **variables)).good

    @asynccontextmanager
    async def subscribe(self, document: str, viewer: Viewer = OWNER, /, **variables: Any) -> AsyncIterator[Stream]:
        """Follow a subscription until the block ends."""
        context = RequestContext(self.services, viewer, request_id=self.request_id)
        execution = self.schema.begin(document, variables=variables, context=context)
        assert isinstance(execution, Execution), execution
        async with aclosing(execution.results()) as frames:
            yield Stream(frames)


@asynccontextmanager
async def api_of(world: World) -> AsyncIterator[Api]:
    """The API over `world`; live seat maps hear what the engine tells."""
    changes = SeatChanges(world.database)
    detach = world.engine.telemetry.attach(lambda signal: changes.wake())
    try:
        yield Api(
            world,
            Services(world.database, world.engine, world.bookings, changes, world.provider, BulkActions(world.engine)),
        )
    finally:
        detach()
        await changes.close()
