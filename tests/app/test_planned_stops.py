"""A planned stop, with and without a drain, under every kind of request: none of them is answered with a fault."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, WebSocketException
from websockets.typing import Subprotocol

from app.client import Client
from app.http.farewell import Farewell
from app.http.negotiation import GRAPHQL_JSON
from tests.app.test_stopping import BOOK, EVENTS, MULTIPART, SSE, order
from tests.support.children import Child, environment, serving_child
from tests.support.serving import serving
from tests.support.waiting import eventually

TOKEN: Final = "the operators' token"
DRAIN_SECONDS: Final = 4.0
#: As slow as a saga can be made between its four steps.
SLOW_MS: Final = 5_000
BOOKED: Final = "booked, and waiting"
WAIT: Final = "query($id: UUID!) { saga(correlationId: $id, waitSeconds: 30) { status } }"
FLIGHTS: Final = "{ flights(first: 1) { edges { node { id seats { number status } } } } }"
SWEEP: Final = "/admin/scheduler/jobs/release-expired-reservations"


class Load:
    """Askers of every kind, each of whom asks until nobody answers; what they were answered is counted."""

    def __init__(self, child: Child, flight_id: str, slow: str) -> None:
        self.answers: Counter[tuple[str, object]] = Counter()
        self.faults: list[str] = []
        self._child = child
        self._flight_id = flight_id
        self._slow = slow

    def kinds(self) -> dict[str, Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]]:
        """What is asked over HTTP."""

        def ask(query: str, **variables: object) -> Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]:
            body = {"query": query, "variables": variables}
            return lambda http: http.post("/graphql", json=body, headers={"accept": GRAPHQL_JSON})

        def book(http: httpx.AsyncClient) -> Awaitable[httpx.Response]:
            return ask(BOOK, input=order(self._flight_id, str(uuid.uuid4())))(http)

        return {
            "query": ask(FLIGHTS),
            "mutation": book,
            "wait": ask(WAIT, id=self._slow),
            "sse": lambda http: http.post(
                "/graphql", json={"query": EVENTS, "variables": {"id": self._slow}}, headers={"accept": SSE}
            ),
            "multipart": lambda http: http.post(
                "/graphql", json={"query": EVENTS, "variables": {"id": self._slow}}, headers={"accept": MULTIPART}
            ),
            "jobs": lambda http: http.get("/admin/scheduler"),
            "run": lambda http: http.post(f"{SWEEP}/run"),
            "metrics": lambda http: http.get("/metrics"),
            "health": lambda http: http.get("/healthz"),
            "ready": lambda http: http.get("/readyz"),
            "page": lambda http: http.get("/graphql", headers={"accept": "text/html"}),
        }

    async def ask(self, kind: str, send: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> None:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=self._child.url, headers=bearer, timeout=40) as http:
            while True:
                try:
                    answer = await send(http)
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    # Cut off: by the client's own haste, on a connection that the server had just closed.
                    self.answers[kind, "cut"] += 1
                    continue
                self.answers[kind, answer.status_code] += 1
                if "INTERNAL" in answer.text or "Traceback" in answer.text or answer.status_code == 500:
                    self.faults.append(f"{kind}: {answer.status_code} {answer.text[:300]}")

    async def ask_by_socket(self) -> None:
        url = f"ws://127.0.0.1:{self._child.port}/graphql"
        while True:
            try:
                async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
                    await socket.send(json.dumps({"type": "connection_init", "payload": {}}))
                    for number in range(1_000):
                        payload = {"query": FLIGHTS if number % 2 else WAIT, "variables": {"id": self._slow}}
                        await socket.send(json.dumps({"id": str(number), "type": "subscribe", "payload": payload}))
                        said = str(await socket.recv())
                        self.answers["socket", "said"] += 1
                        if "INTERNAL" in said:
                            self.faults.append(f"socket: {said[:300]}")
            except ConnectionRefusedError:
                return
            except (OSError, InvalidHandshake, WebSocketException) as error:
                self.answers["socket", type(error).__name__] += 1


async def wait_for_a_slow_saga(child: Child, flight_id: str) -> str:
    """Where it stood when its end was no longer waited for."""
    correlation_id = str(uuid.uuid4())
    async with Client(child.url, TOKEN) as client:
        await client.query(BOOK, input=order(flight_id, correlation_id, delayMs=SLOW_MS))
        task = asyncio.current_task()
        assert task is not None
        task.set_name(BOOKED)
        status: str = (await client.query(WAIT, id=correlation_id))["saga"]["status"]
        return status


@pytest.mark.parametrize("drain_seconds", [0.0, DRAIN_SECONDS])
async def test_no_kind_of_request_is_answered_with_a_fault(drain_seconds: float, tmp_path: Path) -> None:
    slow = str(uuid.uuid4())
    env = environment(tmp_path, admin_token=TOKEN, drain_seconds=str(drain_seconds))
    async with serving_child(tmp_path, env) as child:
        async with Client(child.url, TOKEN) as client:
            edges = (await client.query("{ flights(first: 1) { edges { node { id } } } }"))["flights"]["edges"]
            flight_id = edges[0]["node"]["id"]
            await client.query(BOOK, input=order(flight_id, slow, delayMs=SLOW_MS))
        load = Load(child, flight_id, slow)
        asking = [asyncio.create_task(load.ask(kind, send)) for kind, send in load.kinds().items()]
        asking.append(asyncio.create_task(load.ask_by_socket()))
        try:
            await eventually(lambda: load.answers["mutation", 200] >= 10 and load.answers["run", 200] >= 2, 60)
            waits = [asyncio.create_task(wait_for_a_slow_saga(child, flight_id)) for _ in range(2)]
            await eventually(lambda: all(task.get_name() == BOOKED for task in waits), 30)
            # What they ask next has arrived once others have been answered several times since.
            before = load.answers["mutation", 200]
            await eventually(lambda: load.answers["mutation", 200] >= before + 5, 30)
            loop_time = asyncio.get_running_loop().time
            told_at = loop_time()
            child.process.send_signal(signal.SIGTERM)
            async with httpx.AsyncClient(base_url=child.url) as http:
                with suppress(httpx.TransportError):

                    async def is_stopping() -> bool:
                        answer = await http.get("/readyz")
                        return answer.status_code == 503 and answer.json()["status"] == "stopping"

                    await eventually(is_stopping)
            if drain_seconds:
                # At once, not when the drain is over.
                await eventually(lambda: all(task.done() for task in waits))
                assert child.process.poll() is None
                accepted = load.answers["mutation", 200]
                # A new client is welcome, and booked for.
                async with Client(child.url, TOKEN) as late:
                    booked = await late.query(BOOK, input=order(flight_id, str(uuid.uuid4())))
                    assert booked["bookFlight"]["errors"] == []
                await eventually(lambda: load.answers["mutation", 200] > accepted)
            assert await asyncio.to_thread(child.process.wait, 30) == 0
            assert loop_time() - told_at >= drain_seconds
            await asyncio.gather(*asking)
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        assert load.faults == []
        # Whoever waited has an answer: the saga as it stood.
        assert {await task for task in waits} <= {"PENDING", "RUNNING"}
        assert {status for _, status in load.answers if isinstance(status, int)} <= {200, 409, 429, 503}, load.answers
        for said in (child.output.read_text(), (tmp_path / "logs" / "saga_orchestrator.log").read_text()):
            assert "Traceback" not in said
            assert "Exception in ASGI" not in said


async def test_what_takes_longer_than_the_server_waits_for_is_told_to_come_back() -> None:
    begun = asyncio.Event()

    async def slow(request: Request) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    app = Starlette(routes=[Route("/{path:path}", slow, methods=["GET", "POST"])])
    async with serving(Farewell(app)) as served:
        async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
            asked = [
                asyncio.create_task(http.post("/graphql", headers={"accept": GRAPHQL_JSON})),
                asyncio.create_task(http.get("/admin/scheduler")),
            ]
            await begun.wait()
            served.server.should_exit = True
            by_graphql, by_admin = await asyncio.gather(*asked)
    assert (by_graphql.status_code, by_graphql.headers["retry-after"]) == (503, "1")
    assert by_graphql.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE", "retryAfterSeconds": 1}
    assert (by_admin.status_code, by_admin.headers["content-type"]) == (503, "application/problem+json")
