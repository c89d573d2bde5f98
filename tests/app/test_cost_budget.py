"""Each caller has a budget of cost; and ten callers who use theirs up keep nobody from being answered."""

from __future__ import annotations

import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import jwt
import pytest
from graphql import OperationType

from app.http.rates import CostBudget, MutationRate, admit_by
from schema.context import Viewer
from schema.execution import Executable, Execution, Rejected
from schema.root import create_schema
from tests.support.children import Child, environment, fill, serving_child

SCHEMA: Final = Executable(create_schema())
ADA: Final = Viewer("ada", is_operator=False)
BOB: Final = Viewer("bob", is_operator=False)
OPERATOR: Final = Viewer("operator", is_operator=True)
SECRET: Final = "a secret of thirty-two characters or more"
CALLERS: Final = 10
HEALTH_SECONDS_MAX: Final = 0.2
ANSWER_BYTES_MIN: Final = 300_000
#: Some 50,000 values.
DEAR: Final = "{ flights(first: 100) { edges { node { seats { number row } } } } }"


class Clock:
    """Stands still unless it is set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def begun(text: str = "{ flights(first: 10) { edges { node { id } } } }") -> Execution:
    execution = SCHEMA.begin(text)
    assert isinstance(execution, Execution)
    return execution


def refusal(found: Execution | Rejected) -> dict[str, Any]:
    assert isinstance(found, Rejected)
    (error,) = found.errors
    return {"message": error.message, **(error.extensions or {})}


def test_operations_cost_their_callers_budget_and_it_fills_by_the_minute() -> None:
    clock, execution = Clock(), begun()
    budget = CostBudget(per_minute=3 * execution.cost, now=clock)

    for _ in range(3):
        assert budget.admit(ADA, execution) is execution
    refused = refusal(budget.admit(ADA, execution))
    assert (refused["code"], refused["limit"]) == ("LIMIT_EXCEEDED", 3 * execution.cost)
    assert refused["retryAfterSeconds"] == 20
    assert budget.admit(BOB, execution) is execution, "each has a budget of their own"

    clock.seconds += 20
    assert budget.admit(ADA, execution) is execution
    assert isinstance(budget.admit(ADA, execution), Rejected)


async def test_each_result_of_a_subscription_is_paid_for_and_waits_for_points_that_its_caller_lacks() -> None:
    clock = Clock()
    query = begun()
    live = begun(f'subscription {{ sagaEvents(correlationId: "{uuid.uuid4()}") {{ sequence }} }}')
    budget = CostBudget(per_minute=2 * live.cost + query.cost, now=clock)
    assert budget.admit(ADA, live) is live
    assert live.pace is not None
    await live.pace()
    assert budget.admit(ADA, query) is query, "two results are paid for, and no more"
    waiting = asyncio.ensure_future(live.pace())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    clock.seconds += 120
    async with asyncio.timeout(20):
        await live.pace()
    assert query.pace is None


def test_an_operation_dearer_than_the_budget_is_refused_for_good_and_takes_nothing() -> None:
    execution = begun()
    budget = CostBudget(per_minute=execution.cost, now=Clock())
    dear = begun(DEAR)
    assert "retryAfterSeconds" not in refusal(budget.admit(ADA, dear))
    assert budget.admit(ADA, execution) is execution


def test_operators_and_what_was_rejected_before_take_nothing() -> None:
    execution = begun()
    budget = CostBudget(per_minute=execution.cost, now=Clock())
    rejected = SCHEMA.begin("{ nothing }")
    assert isinstance(rejected, Rejected)
    for _ in range(5):
        assert budget.admit(OPERATOR, execution) is execution
        assert budget.admit(ADA, rejected) is rejected
    assert budget.admit(ADA, execution) is execution


def test_a_mutation_needs_room_in_both() -> None:
    execution = begun(f'mutation {{ cancelSaga(input: {{correlationId: "{uuid.uuid4()}"}}) {{ saga {{ id }} }} }}')
    assert execution.kind is OperationType.MUTATION
    clock = Clock()
    admit = admit_by(
        CostBudget(per_minute=10 * execution.cost, now=clock).admit,
        MutationRate(per_minute=1, burst=1, now=clock).admit,
    )
    assert admit(ADA, execution) is execution
    assert "mutations" in refusal(admit(ADA, execution))["message"]


# ---------------------------------------------------------------------- a real server


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    env = environment(tmp_path, auth="jwt", jwt_secret=SECRET)
    fill(env, tmp_path)
    async with serving_child(tmp_path, env) as child:
        yield child


def headers() -> dict[str, str]:
    token = jwt.encode({"sub": str(uuid.uuid4()), "exp": time.time() + 600}, SECRET, algorithm="HS256")
    return {"Authorization": f"Bearer {token}", "Accept": "application/graphql-response+json"}


async def test_health_is_told_at_once_beside_ten_callers_who_ask_for_all_they_may(child: Child) -> None:
    statuses: list[int] = []
    took: list[float] = []
    done = asyncio.Event()

    async def spend(http: httpx.AsyncClient) -> None:
        """Until the budget is used up, which says when to come back."""
        caller = headers()
        while not done.is_set():
            answer = await http.post("/graphql", json={"query": DEAR}, headers=caller)
            statuses.append(answer.status_code)
            assert answer.status_code != 200 or len(answer.content) > ANSWER_BYTES_MIN
            if answer.status_code == 429:
                assert answer.json()["errors"][0]["extensions"]["code"] == "LIMIT_EXCEEDED"
                assert int(answer.headers["retry-after"]) >= 1
                return

    async with httpx.AsyncClient(base_url=child.url, timeout=120) as http:
        callers = [asyncio.create_task(spend(http)) for _ in range(CALLERS)]
        async with httpx.AsyncClient(base_url=child.url, timeout=30) as health:
            for _ in range(60):
                began = time.perf_counter()
                assert (await health.get("/healthz")).status_code == 200
                took.append(time.perf_counter() - began)
        done.set()
        await asyncio.gather(*callers)

    assert set(statuses) <= {200, 429}
    # The median, as what other programs of this machine take is not the server's. Without turns it is the time that
    # all ten answers take, some seconds.
    assert statistics.median(took) < HEALTH_SECONDS_MAX


async def test_a_caller_who_has_spent_the_budget_is_told_when_to_come_back(tmp_path: Path) -> None:
    env = environment(tmp_path, auth="jwt", jwt_secret=SECRET, cost_per_minute_max=str(begun().cost))
    async with serving_child(tmp_path, env) as child, httpx.AsyncClient(base_url=child.url, timeout=20) as http:
        caller, body = headers(), {"query": "{ flights(first: 10) { edges { node { id } } } }"}
        assert (await http.post("/graphql", json=body, headers=caller)).status_code == 200
        refused = await http.post("/graphql", json=body, headers=caller)
        assert refused.status_code == 429
        assert refused.json()["errors"][0]["extensions"]["retryAfterSeconds"] >= 1
        assert (await http.post("/graphql", json=body, headers=headers())).status_code == 200
