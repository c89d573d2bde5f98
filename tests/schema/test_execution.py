"""An execution tells which event its newest result is about, for transports that let clients go on from there."""

from __future__ import annotations

import json
from contextlib import aclosing
from uuid import UUID

import pytest
from graphql import OperationType

from schema.context import RequestContext
from schema.execution import Executable, Execution
from schema.root import create_schema
from tests.domain.bookings.world import World
from tests.schema.api import OWNER, Api

ASKED = Executable(create_schema())
EVENTS = "subscription($id: UUID!, $after: Int!) { sagaEvents(correlationId: $id, after: $after) { sequence } }"


async def test_each_event_of_a_saga_brings_its_sequence(api: Api, world: World) -> None:
    saga = await world.ended(await world.book())
    execution = ASKED.begin(
        EVENTS, variables={"id": saga.correlation_id, "after": 4}, context=RequestContext(api.services, OWNER)
    )
    assert isinstance(execution, Execution)
    assert execution.kind is OperationType.SUBSCRIPTION

    seen = []
    async with aclosing(execution.results()) as results:
        async for frame in results:
            assert json.loads(frame.body) == {"data": {"sagaEvents": {"sequence": frame.sequence}}}
            seen.append(frame.sequence)

    assert seen == list(range(5, saga.sequence + 1))


async def test_a_query_brings_none(api: Api) -> None:
    execution = ASKED.begin("{ airports { code } }", context=RequestContext(api.services, OWNER))
    assert isinstance(execution, Execution)
    async with aclosing(execution.results()) as results:
        (frame,) = [frame async for frame in results]
    assert frame.sequence is None


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ('query($i: Int = 5) { search(text: "x", first: $i) { __typename } }', "first"),
        ("query($i: Boolean = true) { __typename @include(if: $i) }", "if"),
        ('query($i: String = "Query") { __type(name: $i) { name } }', "name"),
        ("query($i: SagaStatus = STUCK) { sagas(filter: {status: [$i]}) { totalCount } }", "filter"),
        (
            f'subscription($i: Int = 5) {{ sagaEvents(correlationId: "{UUID(int=0)}", after: $i) {{ id }} }}',
            "after",
        ),
    ],
)
async def test_null_for_a_variable_with_a_default_is_the_callers_mistake(api: Api, text: str, argument: str) -> None:
    execution = ASKED.begin(text, variables={"i": None}, context=RequestContext(api.services, OWNER))
    assert isinstance(execution, Execution)
    async with aclosing(execution.results()) as results:
        (frame,) = [frame async for frame in results]
    (error,) = json.loads(frame.body)["errors"]
    assert error["extensions"] == {"code": "BAD_USER_INPUT"}
    assert f"Argument '{argument}'" in error["message"]


async def test_events_go_on_from_where_the_client_says_it_is_by_whichever_means(api: Api, world: World) -> None:
    saga = await world.ended(await world.book())
    for after, resume_after, expected in ((0, 4, 5), (6, 4, 7)):
        context = RequestContext(api.services, OWNER, resume_after=resume_after)
        execution = ASKED.begin(EVENTS, variables={"id": saga.correlation_id, "after": after}, context=context)
        assert isinstance(execution, Execution)
        async with aclosing(execution.results()) as frames:
            assert (await anext(frames)).sequence == expected
