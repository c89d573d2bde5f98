"""Every trap that the transport of GraphQL has for a server: ours avoids it, and the check can tell.

Each check runs against ours, and against Strawberry's own class on the same schema and the same
server, where it must fail. Those that do it no harm are named in HARMLESS.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.app.probe import Witness, probing, probing_stock
from tests.support.serving import Served
from tests.support.sockets import Socket, open_socket
from tests.support.waiting import eventually

GRAPHQL_JSON: Final = "application/graphql-response+json"
#: As Apollo Client sends it.
MULTIPART: Final = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json"
SSE: Final = "text/event-stream"
FOREVER: Final = "subscription { forever }"
SECONDS_MAX: Final = 5.0

#: A check that does not hold, an answer that is not there or is cut off.
FALLEN: Final = (AssertionError, KeyError, ValueError, TimeoutError, httpx.TransportError, ConnectionClosed)
Trap = Callable[[Served, Witness], Awaitable[None]]


async def post(served: Served, body: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=served.url, timeout=SECONDS_MAX) as http:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await http.post("/graphql", content=content, headers={"content-type": "application/json", **headers})


async def a_request_error_is_a_4xx_without_data(served: Served, witness: Witness) -> None:
    for query in ("{", "{ nothing }", "query($n: String!) { hello(name: $n) }"):
        response = await post(served, {"query": query}, accept=GRAPHQL_JSON)
        assert response.status_code == 400
        assert "data" not in response.json()


async def the_media_type_is_negotiated_and_caches_are_told(served: Served, witness: Witness) -> None:
    for accept in (GRAPHQL_JSON, "application/json"):
        response = await post(served, {"query": "{ hello }"}, accept=accept)
        assert response.headers["content-type"].startswith(accept)
        assert "accept" in response.headers["vary"].lower()


async def what_is_not_acceptable_is_refused(served: Served, witness: Witness) -> None:
    assert (await post(served, {"query": "{ hello }"}, accept="image/png")).status_code == 406


async def another_method_is_a_405_that_names_those_allowed(served: Served, witness: Witness) -> None:
    async with httpx.AsyncClient(base_url=served.url) as http:
        response = await http.put("/graphql", json={"query": "{ hello }"})
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]
    assert response.json()["errors"]


async def a_body_of_another_type_is_a_415(served: Served, witness: Witness) -> None:
    response = await post(served, b"{ hello }", **{"content-type": "text/plain"})
    assert response.status_code == 415
    assert response.json()["errors"]


async def a_body_that_is_no_request_is_a_400_in_json(served: Served, witness: Witness) -> None:
    for body in (
        b"\xff\xfe",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b'{"query": 1}',
        b'{"query": "{ hello }", "variables": 1}',
    ):
        response = await post(served, body)
        assert response.status_code == 400, body
        assert response.json()["errors"], body


async def a_fault_is_masked_and_validation_is_not(served: Served, witness: Witness) -> None:
    fault = (await post(served, {"query": "{ broken }"})).json()["errors"][0]
    assert "on purpose" not in fault["message"]
    assert fault["extensions"]["id"] in fault["message"]
    invalid = (await post(served, {"query": "{ nothing }"})).json()["errors"][0]
    assert "nothing" in invalid["message"]
    assert invalid["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def json_wins_over_event_streams_for_a_query(served: Served, witness: Witness) -> None:
    accept = f"{SSE}, {GRAPHQL_JSON}, application/json"
    response = await post(served, {"query": "{ hello }"}, accept=accept)
    assert response.json()["data"] == {"hello": "hello world"}


async def a_subscription_runs_as_server_sent_events(served: Served, witness: Witness) -> None:
    response = await post(served, {"query": "subscription { count(to: 2) }"}, accept=SSE)
    assert response.headers["content-type"].startswith(SSE)
    assert response.text.count("event: next") == 2
    assert response.text.endswith("event: complete\ndata: \n\n")


async def multipart_is_closed_by_its_last_boundary(served: Served, witness: Witness) -> None:
    response = await post(served, {"query": "subscription { count(to: 2) }"}, accept=MULTIPART)
    content_type = response.headers["content-type"].replace('"', "")
    assert "subscriptionSpec=1.0" in content_type
    boundary = content_type.split("boundary=")[1].split(";")[0]
    assert response.text.rstrip().endswith(f"--{boundary}--")


async def a_multipart_client_that_goes_away_ends_its_generator(served: Served, witness: Witness) -> None:
    await _go_away_in_a_stream(served, witness, MULTIPART)


async def an_sse_client_that_goes_away_ends_its_generator(served: Served, witness: Witness) -> None:
    await _go_away_in_a_stream(served, witness, SSE)


async def _go_away_in_a_stream(served: Served, witness: Witness, accept: str) -> None:
    async with httpx.AsyncClient(base_url=served.url, timeout=SECONDS_MAX) as http:
        async with http.stream("POST", "/graphql", json={"query": FOREVER}, headers={"accept": accept}) as response:
            async for chunk in response.aiter_text():
                if '"forever"' in chunk:
                    break
    await eventually(lambda: witness.begun == 1 and witness.ended == 1, 2.0)


async def a_socket_that_goes_away_ends_its_generator(served: Served, witness: Witness) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("a", FOREVER)
        await socket.receive()
        socket.connection.transport.abort()
        await eventually(lambda: witness.ended == 1, 2.0)


async def a_syntax_error_ends_that_operation_alone(served: Served, witness: Witness) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.subscribe("living", FOREVER)
        await socket.receive()
        await socket.subscribe("dead", "subscription {")
        refused = await socket.receive()
        assert (refused["id"], refused["type"]) == ("dead", "error")
        await _still_answers(socket)


async def a_payload_that_is_none_ends_that_operation_alone(served: Served, witness: Witness) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        await socket.send(id="dead", type="subscribe", payload={"variables": 1})
        refused = await socket.receive()
        assert (refused["id"], refused["type"]) == ("dead", "error")
        await _still_answers(socket)


async def _still_answers(socket: Socket) -> None:
    await socket.subscribe("next", "{ hello }")
    answered = await socket.receive()
    assert (answered["id"], answered["type"]) == ("next", "next")


async def a_frame_that_is_no_object_closes_with_4400(served: Served, witness: Witness) -> None:
    for frame in ("{", "[]", "null", "1", '"text"'):
        async with open_socket(served) as socket:
            await socket.initialise()
            await socket.connection.send(frame)
            assert await socket.closed() == 4400, frame


async def each_operation_on_a_socket_has_a_context_of_its_own(served: Served, witness: Witness) -> None:
    async with open_socket(served) as socket:
        await socket.initialise()
        for name in ("a", "b"):
            await socket.subscribe(name, "{ me }")
            assert [(await socket.receive())["type"] for _ in range(2)] == ["next", "complete"]
    assert len({id(context) for context in witness.contexts}) == 2


async def the_legacy_protocol_is_refused(served: Served, witness: Witness) -> None:
    async with open_socket(served, protocol="graphql-ws") as socket:
        assert await socket.closed() == 4406


async def a_mutation_is_never_run_by_get(served: Served, witness: Witness) -> None:
    query = {"query": 'mutation { start(correlationId: "a") }'}
    async with httpx.AsyncClient(base_url=served.url, timeout=SECONDS_MAX) as http:
        for accept in ("application/json", SSE, MULTIPART):
            response = await http.get("/graphql", params=query, headers={"accept": accept})
            assert "use POST" in response.text
            if accept != SSE:
                assert response.status_code == 405
                assert "POST" in response.headers["allow"]
    assert all(context.note.correlation_ids == [] for context in witness.contexts)


async def a_server_that_stops_ends_its_streams(served: Served, witness: Witness) -> None:
    async def follow(accept: str) -> str:
        text = ""
        async with httpx.AsyncClient(base_url=served.url, timeout=SECONDS_MAX) as http:
            async with http.stream("POST", "/graphql", json={"query": FOREVER}, headers={"accept": accept}) as response:
                async for chunk in response.aiter_text():
                    text += chunk
        return text

    following = [asyncio.create_task(follow(accept)) for accept in (SSE, MULTIPART)]
    await eventually(lambda: witness.begun == 2, 2.0)
    served.server.should_exit = True
    # An end that is none is an error of the client's.
    by_events, by_parts = await asyncio.wait_for(asyncio.gather(*following), SECONDS_MAX)
    assert "event: complete" not in by_events
    assert '"payload":null' in by_parts.replace(" ", "")
    await eventually(lambda: witness.ended == 2, 2.0)


TRAPS: Final[tuple[Trap, ...]] = (
    a_request_error_is_a_4xx_without_data,
    the_media_type_is_negotiated_and_caches_are_told,
    what_is_not_acceptable_is_refused,
    another_method_is_a_405_that_names_those_allowed,
    a_body_of_another_type_is_a_415,
    a_body_that_is_no_request_is_a_400_in_json,
    a_fault_is_masked_and_validation_is_not,
    json_wins_over_event_streams_for_a_query,
    a_subscription_runs_as_server_sent_events,
    multipart_is_closed_by_its_last_boundary,
    a_multipart_client_that_goes_away_ends_its_generator,
    an_sse_client_that_goes_away_ends_its_generator,
    a_socket_that_goes_away_ends_its_generator,
    a_syntax_error_ends_that_operation_alone,
    a_payload_that_is_none_ends_that_operation_alone,
    a_frame_that_is_no_object_closes_with_4400,
    each_operation_on_a_socket_has_a_context_of_its_own,
    the_legacy_protocol_is_refused,
    a_mutation_is_never_run_by_get,
    a_server_that_stops_ends_its_streams,
)
#: The stock class knows no event streams, so that JSON wins; and it mended the other.
HARMLESS: Final = frozenset({json_wins_over_event_streams_for_a_query, a_socket_that_goes_away_ends_its_generator})


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.__name__)
async def test_ours_avoids_it(trap: Trap) -> None:
    async with probing() as (served, witness):
        await trap(served, witness)


@pytest.mark.parametrize("trap", [trap for trap in TRAPS if trap not in HARMLESS], ids=lambda trap: trap.__name__)
async def test_the_stock_class_falls_into_it(trap: Trap) -> None:
    async with probing_stock() as (served, witness):
        with pytest.raises(FALLEN):
            await trap(served, witness)
