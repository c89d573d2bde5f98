"""Pages from the end of a list: a walk backwards is the reverse of one forwards, and each page says where it stands."""

from __future__ import annotations

from typing import Any, Final

import pytest
import pytest_asyncio

from domain.clock import ManualClock
from schema.documents import Limits
from schema.execution import Executable, Execution
from schema.pagination import FIRST_DEFAULT
from schema.root import create_schema
from tests.schema.api import OPERATOR, Answer, Api
from tests.schema.test_pagination import LISTS, connection, garbled, keys, page, some_of_everything

sharing = pytest.mark.asyncio(loop_scope="module")
lists = pytest.mark.parametrize("name", LISTS)
sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])
shared_sqlite_alone = pytest.mark.parametrize("shared_api", ["sqlite"], indirect=True)
SCHEMA: Final = Executable(create_schema(), Limits(cost_max=10**9))
BOTH: Final = ["first: 3, last: 3", 'after: "x", last: 3', 'first: 3, before: "x"', 'after: "x", before: "x"']


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(shared_api: Api) -> Api:
    """An API that has some of everything, for tests that change nothing."""
    await some_of_everything(shared_api.world)
    return shared_api


def document(name: str, arguments: str, variables: str = "") -> str:
    asked, _, key = LISTS[name]
    asked = asked.replace("first: $first, after: $after", arguments)
    closing = "}" if name == "entries" else ""
    return (
        f"query{variables} {{ {asked} {{ edges {{ cursor node {{ {key} }} }} totalCount "
        f"pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} {closing} }}"
    )


async def ask(api: Api, name: str, arguments: str) -> Answer:
    return await api.ask(document(name, arguments), OPERATOR)


async def back(api: Api, name: str, last: int | None, before: str | None = None) -> dict[str, Any]:
    asked = document(name, "last: $last, before: $before", "($last: Int, $before: String)")
    return connection(name, await api.read(asked, OPERATOR, last=last, before=before))


@sharing
@lists
@pytest.mark.parametrize("last", [1, 3])
async def test_a_walk_backwards_tells_every_row_once_from_the_last_to_the_first(
    stocked: Api, name: str, last: int
) -> None:
    whole = await page(stocked, name, 100)
    walked: list[str] = []
    before: str | None = None
    while True:
        part = await back(stocked, name, last, before)
        info, cursors = part["pageInfo"], [edge["cursor"] for edge in part["edges"]]
        walked = keys(name, part) + walked
        assert info["hasNextPage"] is (before is not None)
        assert info["hasPreviousPage"] is (len(walked) < whole["totalCount"])
        assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
        assert part["totalCount"] == whole["totalCount"]
        before = info["startCursor"]
        if not info["hasPreviousPage"]:
            break
        assert len(cursors) == last

    assert walked == keys(name, whole)


@sharing
@shared_sqlite_alone
@lists
@pytest.mark.parametrize("arguments", BOTH)
async def test_a_page_has_one_direction(stocked: Api, name: str, arguments: str) -> None:
    answer = await ask(stocked, name, arguments)

    assert answer.code == "BAD_USER_INPUT"
    assert answer.errors[0].extensions["argument"] == ["last" if "last" in arguments else "before"]


@sharing
@shared_sqlite_alone
async def test_a_first_that_equals_the_default_is_one_if_the_client_sent_it(stocked: Api) -> None:
    by_variable = "query($first: Int, $last: Int) { sagas(first: $first, last: $last) { edges { cursor } } }"

    assert (await ask(stocked, "sagas", f"first: {FIRST_DEFAULT}, last: 2")).code == "BAD_USER_INPUT"
    assert (await stocked.ask(by_variable, OPERATOR, first=20, last=2)).code == "BAD_USER_INPUT"
    for left_out in ({}, {"first": None}):
        found = await stocked.read(by_variable, OPERATOR, last=2, **left_out)
        assert len(found["sagas"]["edges"]) == 2


@sharing
@shared_sqlite_alone
@lists
async def test_null_arguments_are_left_out(stocked: Api, name: str) -> None:
    """Relay sends the arguments of the other direction as null."""
    last, first = "last: 2, before: null, first: null, after: null", "first: 2, after: null, last: null, before: null"
    whole = keys(name, await page(stocked, name, 100))

    assert keys(name, connection(name, (await ask(stocked, name, last)).good)) == whole[-2:]
    assert keys(name, connection(name, (await ask(stocked, name, first)).good)) == whole[:2]
    none = "first: null, after: null, last: null, before: null"
    assert keys(name, connection(name, (await ask(stocked, name, none)).good)) == whole


@sharing
@shared_sqlite_alone
@lists
async def test_before_alone_is_a_page_of_the_usual_length(stocked: Api, name: str) -> None:
    whole = await page(stocked, name, 100)

    assert keys(name, await back(stocked, name, None, whole["edges"][-1]["cursor"])) == keys(name, whole)[:-1]


@sharing
@shared_sqlite_alone
@lists
@pytest.mark.parametrize("last", [0, -1, 101, 2**31 - 1])
async def test_a_page_from_the_end_has_1_to_100_rows(stocked: Api, name: str, last: int) -> None:
    answer = await ask(stocked, name, f"last: {last}")

    assert answer.code == "BAD_USER_INPUT"
    assert answer.errors[0].extensions == {"code": "BAD_USER_INPUT", "argument": ["last"], "limit": 100}


@sharing
@shared_sqlite_alone
@lists
async def test_a_cursor_of_another_list_is_refused_backwards_too(stocked: Api, name: str) -> None:
    for what, cursor in garbled(name).items():
        answer = await stocked.ask(
            document(name, "last: 5, before: $before", "($before: String)"), OPERATOR, before=cursor
        )
        assert (answer.code, answer.errors[0].extensions["argument"]) == ("BAD_USER_INPUT", ["before"]), what


@sqlite_alone
@pytest.mark.parametrize("name", ["sagas", "bookings", "entries"])
async def test_rows_that_come_during_a_walk_backwards_come_last(api: Api, name: str) -> None:
    """These lists have the newest first, so a walk from the end meets a new row at its own end."""
    await some_of_everything(api.world)
    whole = keys(name, await page(api, name, 100))
    end = await back(api, name, 3)

    await api.world.ended(await api.world.book(member_number="SS0000001"))
    rest = await back(api, name, 100, end["pageInfo"]["startCursor"])
    now = keys(name, await page(api, name, 100))

    assert keys(name, rest) + keys(name, end) == now
    assert now[-len(whole) :] == whole
    assert len(now) > len(whole)


@sqlite_alone
async def test_a_page_says_what_there_is_now_not_what_there_was(api: Api, clock: ManualClock) -> None:
    """Flights leave the list at its beginning: then none comes before a cursor any more."""
    asked = "query($after: String) { flights(first: 1, after: $after) { pageInfo { hasPreviousPage endCursor } } }"
    first = (await api.read(asked))["flights"]["pageInfo"]
    assert (await api.read(asked, after=first["endCursor"]))["flights"]["pageInfo"]["hasPreviousPage"]

    departs_at = (await api.read("{ flights(first: 1) { edges { node { departsAt number } } } }"))["flights"]["edges"]
    while (await api.read("{ flights(first: 1) { edges { node { departsAt number } } } }"))["flights"][
        "edges"
    ] == departs_at:
        clock.advance(3_600)

    assert not (await api.read(asked, after=first["endCursor"]))["flights"]["pageInfo"]["hasPreviousPage"]


@sharing
@shared_sqlite_alone
async def test_behind_the_last_row_there_is_an_empty_page_that_knows_the_others(stocked: Api) -> None:
    whole = await page(stocked, "bookings", 100)
    beyond = await page(stocked, "bookings", 5, whole["pageInfo"]["endCursor"])
    ahead = await back(stocked, "bookings", 5, whole["pageInfo"]["startCursor"])

    assert beyond["edges"] == ahead["edges"] == []
    assert (beyond["pageInfo"]["hasPreviousPage"], beyond["pageInfo"]["hasNextPage"]) == (True, False)
    assert (ahead["pageInfo"]["hasPreviousPage"], ahead["pageInfo"]["hasNextPage"]) == (False, True)


@sqlite_alone
@pytest.mark.parametrize("order", ["NEWEST_FIRST", "OLDEST_FIRST", "LONGEST_STUCK_FIRST"])
async def test_every_order_of_sagas_is_read_backwards(api: Api, order: str) -> None:
    for _ in range(5):
        await api.world.ended(await api.world.book())
    whole = (await api.read(f"{{ sagas(orderBy: {order}) {{ edges {{ cursor }} }} }}"))["sagas"]["edges"]
    before = whole[4]["cursor"]
    asked = f'{{ sagas(orderBy: {order}, last: 2, before: "{before}") {{ edges {{ cursor }} }} }}'

    assert (await api.read(asked))["sagas"]["edges"] == whole[2:4]


@sqlite_alone
async def test_lists_of_operators_are_read_backwards(api: Api) -> None:
    await api.world.ended(await api.world.book())
    start = """mutation($reason: String!) {
      startBulkAction(input: {kind: RETRY, filter: {definition: BOOK_AND_EARN}, reason: $reason}) { matched }
    }"""
    for number in range(3):
        await api.read(start, OPERATOR, reason=f"Try {number}.")
    for asked in ("bulkActions", "operatorActions"):
        whole = (await api.read(f"{{ {asked} {{ edges {{ cursor }} }} }}", OPERATOR))[asked]["edges"]
        part = f"""query($before: String) {{
          {asked}(last: 1, before: $before) {{ edges {{ cursor }} pageInfo {{ hasNextPage hasPreviousPage }} }}
        }}"""
        found = await api.read(part, OPERATOR, before=whole[2]["cursor"])
        assert found[asked] == {"edges": whole[1:2], "pageInfo": {"hasNextPage": True, "hasPreviousPage": True}}


@pytest.mark.parametrize(
    ("arguments", "variables", "length"),
    [
        ("last: 5", {}, 5),
        ("last: $last", {"last": 5}, 5),
        ("first: $first, last: $last", {"first": None, "last": 5}, 5),
        ("first: $first, last: $last", {"first": 5, "last": None}, 5),
        ("first: $first, last: $last", {}, FIRST_DEFAULT),
        ("first: null, last: null", {}, FIRST_DEFAULT),
        ("last: $preset", {}, 7),
        ("before: $before", {}, FIRST_DEFAULT),
        ("last: $last", {"last": 2_000_000_000}, 1_000),
    ],
)
def test_a_page_costs_what_it_may_hold_in_either_direction(
    arguments: str, variables: dict[str, Any], length: int
) -> None:
    def cost(arguments: str, variables: dict[str, Any]) -> int:
        used = {"first": "Int", "last": "Int", "before": "String", "preset": "Int = 7"}
        given = ", ".join(f"${name}: {type_}" for name, type_ in used.items() if f"${name}" in arguments)
        document = f"query{f'({given})' if given else ''} {{ bookings({arguments}) {{ edges {{ cursor }} }} }}"
        execution = SCHEMA.begin(document, variables=variables)
        assert isinstance(execution, Execution)
        return execution.cost

    assert cost(arguments, variables) == cost(f"first: {length}", {})
