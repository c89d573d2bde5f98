"""Pages: bounded, opaque, and complete: walked from end to end no row is missed and none is told twice."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any, Final

import pytest
import pytest_asyncio
from graphql import GraphQLObjectType

from schema import ids
from schema.pagination import FIRST_DEFAULT, PAGE_ROWS_MAX, cursor_of
from schema.root import create_schema
from tests.domain.bookings.world import ADA, JANE, JOHN, World
from tests.schema.api import OPERATOR, Api

UUID: Final = "0197a9a0-0000-7000-8000-000000000001"
#: Every list of the API: what it is asked for by, the kind in its cursors, and a row's own key.
LISTS: Final = {
    "flights": ("flights(first: $first, after: $after)", "flights", "number"),
    "sagas": ("sagas(first: $first, after: $after)", "sagas", "correlationId"),
    "bookings": ("bookings(first: $first, after: $after)", "bookings", "reference"),
    "seatReservations": ("seatReservations(first: $first, after: $after)", "reservations", "id"),
    "entries": (f'loyaltyAccount(memberNumber: "{ADA}") {{ entries(first: $first, after: $after)', "entries", "id"),
}
lists = pytest.mark.parametrize("name", LISTS)
sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])
#: For tests that change nothing, with `stocked`.
sharing = pytest.mark.asyncio(loop_scope="module")
shared_sqlite_alone = pytest.mark.parametrize("shared_api", ["sqlite"], indirect=True)


def document(name: str) -> str:
    asked, _, key = LISTS[name]
    closing = "}" if name == "entries" else ""
    return (
        f"query Page($first: Int!, $after: String) {{ {asked} {{ edges {{ cursor node {{ {key} }} }} totalCount "
        f"pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} {closing} }}"
    )


def connection(name: str, data: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = data["loyaltyAccount"]["entries"] if name == "entries" else data[name]
    return found


async def page(api: Api, name: str, first: int, after: str | None = None) -> dict[str, Any]:
    return connection(name, await api.read(document(name), OPERATOR, first=first, after=after))


def keys(name: str, connection: dict[str, Any]) -> list[str]:
    return [edge["node"][LISTS[name][2]] for edge in connection["edges"]]


async def some_of_everything(world: World) -> None:
    """Seven sagas with bookings, eight reservations, and fifteen entries of Ada's: her opening one, and two a saga."""
    sagas = [await world.book(member_number=ADA) for _ in range(6)]
    sagas.append(await world.book(member_number=ADA, passengers=[JOHN, JANE]))
    await asyncio.gather(*map(world.ended, sagas))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stocked(shared_api: Api) -> Api:
    """An API that has some of everything, for tests that change nothing."""
    await some_of_everything(shared_api.world)
    return shared_api


# ---------------------------------------------------------------- first


@sharing
@shared_sqlite_alone
@lists
@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1, -(2**31)])
async def test_a_page_has_1_to_100_rows(stocked: Api, name: str, first: int) -> None:
    answer = await stocked.ask(document(name), OPERATOR, first=first)

    assert answer.code == "BAD_USER_INPUT"
    assert answer.errors[0].extensions["argument"] == ["first"]
    assert str(first) in answer.errors[0].message


@sqlite_alone
@lists
async def test_where_pages_are_shorter_more_is_refused_with_the_limit_and_the_default_cut_to_it(
    api: Api, name: str
) -> None:
    short = replace(api, services=replace(api.services, page_rows_max=2))
    for _ in range(3):
        await api.world.ended(await api.world.book(member_number=ADA))

    answer = await short.ask(document(name), OPERATOR, first=3)
    assert (answer.code, answer.errors[0].extensions["limit"]) == ("BAD_USER_INPUT", 2)
    by_default = connection(name, await short.read(document(name), OPERATOR, first=FIRST_DEFAULT))
    assert len(by_default["edges"]) == 2
    assert by_default["pageInfo"]["hasNextPage"]


def test_every_list_has_the_default_that_is_cut() -> None:
    defaults = {
        (type_.name, field): definition.args["first"].default_value
        for type_ in create_schema()._schema.type_map.values()
        if isinstance(type_, GraphQLObjectType)
        for field, definition in type_.fields.items()
        if "first" in definition.args
    }
    assert defaults.pop(("Saga", "events")) == PAGE_ROWS_MAX
    assert set(defaults.values()) == {FIRST_DEFAULT}


@sharing
@shared_sqlite_alone
@lists
@pytest.mark.parametrize("first", [1, 100])
async def test_the_smallest_and_the_largest_page_are_answered(stocked: Api, name: str, first: int) -> None:
    assert len((await page(stocked, name, first))["edges"]) <= first


@sqlite_alone
@pytest.mark.parametrize("arguments", ["first: 0", "first: 101", "first: -1", "after: -1"])
async def test_a_sagas_events_are_bounded_too(api: Api, arguments: str) -> None:
    saga = await api.world.book()
    asked = f'{{ saga(correlationId: "{saga.correlation_id}") {{ events({arguments}) {{ id }} }} }}'

    assert (await api.ask(asked)).code == "BAD_USER_INPUT"


# ---------------------------------------------------------------- after


def garbled(name: str) -> dict[str, str]:
    """Cursors that are none of this list's."""
    kind = f"entries-{ADA}" if name == "entries" else LISTS[name][1]
    elsewhere = "bookings" if name != "bookings" else "sagas"
    return {
        "words": "no cursor at all",
        "not base64": "%%%",
        "another list's": cursor_of(elsewhere, UUID),
        "a node's id": ids.encode("Saga", UUID),
        "no text": base64.urlsafe_b64encode(b"\xff\xfe\xfd").decode(),
        "no key": cursor_of(kind, ""),
        "a key of another shape": cursor_of(kind, "x"),
        "slashes": cursor_of(kind, "//"),
        "a null character": cursor_of(kind, "\0"),
        "too many parts": cursor_of(kind, f"1/1/{UUID}"),
        "a wrong id": cursor_of(kind, "1/x"),
        "a number of 5,000 digits": cursor_of(kind, f"{'9' * 5000}/1"),
        "an id in capitals": cursor_of(kind, UUID.upper().replace("7", "A")),
    }


@sharing
@pytest.mark.parametrize("name", ["flights", "sagas", "bookings", "seatReservations", "entries"])
async def test_a_cursor_of_another_list_or_of_none_is_refused(stocked: Api, name: str) -> None:
    answers = {
        what: await stocked.ask(document(name), OPERATOR, first=5, after=after) for what, after in garbled(name).items()
    }

    assert {what: [error.code for error in answer.errors] for what, answer in answers.items()} == {
        what: ["BAD_USER_INPUT"] for what in answers
    }
    assert all(answer.errors[0].extensions["argument"] == ["after"] for answer in answers.values())


@sharing
@pytest.mark.parametrize("name", ["flights", "seatReservations"])
async def test_a_cursor_of_a_number_beyond_all_bounds_is_refused(stocked: Api, name: str) -> None:
    after = cursor_of(LISTS[name][1], f"{10**30}/{10**30 if name == 'flights' else UUID}")

    assert (await stocked.ask(document(name), OPERATOR, first=5, after=after)).code == "BAD_USER_INPUT"


@sharing
@shared_sqlite_alone
@pytest.mark.parametrize("name", ["flights", "sagas", "bookings", "seatReservations", "entries"])
async def test_an_empty_cursor_is_refused(stocked: Api, name: str) -> None:
    assert (await stocked.ask(document(name), OPERATOR, first=5, after="")).code == "BAD_USER_INPUT"


@sharing
@shared_sqlite_alone
async def test_a_cursor_of_another_members_entries_is_refused(stocked: Api) -> None:
    cursor = (await page(stocked, "entries", 1))["pageInfo"]["endCursor"]
    asked = (
        'query($after: String) { loyaltyAccount(memberNumber: "SS0000002") { entries(after: $after) { totalCount } } }'
    )

    assert (await stocked.ask(asked, OPERATOR, after=cursor)).code == "BAD_USER_INPUT"


# ---------------------------------------------------------------- the walk


@sharing
@lists
@pytest.mark.parametrize("first", [1, 3])
async def test_a_walk_tells_every_row_once_in_the_order_of_the_list(stocked: Api, name: str, first: int) -> None:
    whole = await page(stocked, name, 100)
    walked: list[str] = []
    after: str | None = None
    while True:
        part = await page(stocked, name, first, after)
        info, cursors = part["pageInfo"], [edge["cursor"] for edge in part["edges"]]
        assert info["hasPreviousPage"] is (after is not None)
        assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
        assert part["totalCount"] == whole["totalCount"]
        assert not set(walked) & set(keys(name, part))
        walked += keys(name, part)
        after = info["endCursor"]
        if not info["hasNextPage"]:
            break
        assert len(cursors) == first

    assert walked == keys(name, whole)
    assert len(set(walked)) == len(walked) == whole["totalCount"]
    assert len(walked) == {"flights": 3, "sagas": 7, "bookings": 7, "seatReservations": 8, "entries": 15}[name]


@sqlite_alone
@pytest.mark.parametrize("name", ["sagas", "bookings", "entries"])
async def test_rows_that_come_during_a_walk_shift_nothing(api: Api, name: str) -> None:
    await some_of_everything(api.world)
    whole = keys(name, await page(api, name, 100))
    start = await page(api, name, 3)

    await api.world.ended(await api.world.book(member_number=ADA))
    rest = await page(api, name, 100, start["pageInfo"]["endCursor"])

    assert keys(name, start) + keys(name, rest) == whole


@sqlite_alone
@pytest.mark.parametrize("name", ["sagas", "bookings", "seatReservations"])
async def test_an_empty_list_has_an_empty_page(api: Api, name: str) -> None:
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}

    assert await page(api, name, 20) == {"edges": [], "totalCount": 0, "pageInfo": info}


async def test_lists_of_sagas_and_bookings_are_newest_first(api: Api) -> None:
    sagas = [await api.world.book() for _ in range(5)]
    for saga in sagas:
        await api.world.ended(saga)
    asked = "{ sagas { edges { node { correlationId startedAt } } } bookings { edges { node { createdAt } } } }"

    data = await api.read(asked)

    started = [edge["node"] for edge in data["sagas"]["edges"]]
    assert [node["correlationId"] for node in started] == [saga.correlation_id for saga in reversed(sagas)]
    created = [edge["node"]["createdAt"] for edge in data["bookings"]["edges"]]
    assert created == sorted(created, reverse=True)


@sharing
async def test_reservations_are_soonest_to_expire_first(stocked: Api) -> None:
    data = await stocked.read("{ seatReservations { edges { node { expiresAt } } } }", OPERATOR)

    moments = [edge["node"]["expiresAt"] for edge in data["seatReservations"]["edges"]]
    assert moments == sorted(moments)
    assert len(moments) == 8


# ---------------------------------------------------------------- filters


async def test_a_filter_narrows_rows_and_count_alike_and_an_empty_list_does_not_restrict(api: Api) -> None:
    world = api.world
    declined = await world.ended(await world.book(payment_token="pm_card_chargeDeclined"))
    booked = await world.ended(await world.book(member_number=ADA))
    both = [booked.correlation_id, declined.correlation_id]
    asked = "query($f: SagaFilter) { sagas(filter: $f) { totalCount edges { node { correlationId } } } }"
    expected: list[tuple[dict[str, Any], list[str]]] = [
        ({}, both),
        ({"status": [], "stepStatus": []}, both),
        ({"status": ["COMPLETED"]}, both[:1]),
        ({"status": ["COMPLETED", "COMPENSATED"]}, both),
        ({"stepStatus": ["FAILED"]}, both[1:]),
        ({"failedStep": "AUTHORIZE_PAYMENT"}, both[1:]),
        ({"definition": "BOOK_AND_REDEEM"}, []),
        ({"memberNumber": ADA}, both[:1]),
        ({"flightId": api.flight_id(0)}, both),
        ({"flightId": api.flight_id(1)}, []),
        ({"flightId": "garbled"}, []),
        ({"flightId": ids.encode("Saga", booked.id)}, []),
        ({"startedAfter": "2000-01-01T00:00:00Z"}, both),
        ({"startedBefore": "2000-01-01T00:00:00Z"}, []),
    ]

    for wanted, found in expected:
        data = (await api.read(asked, f=wanted))["sagas"]
        assert [edge["node"]["correlationId"] for edge in data["edges"]] == found, wanted
        assert data["totalCount"] == len(found), wanted


@sharing
async def test_reservations_are_filtered_by_status_flight_and_expiry(stocked: Api) -> None:
    asked = "query($f: SeatReservationFilter) { seatReservations(filter: $f) { totalCount edges { node { id } } } }"
    expected: list[tuple[dict[str, Any], int]] = [
        ({"status": []}, 8),
        ({"status": ["CONFIRMED"]}, 8),
        ({"status": ["HELD", "EXPIRED"]}, 0),
        ({"flightId": stocked.flight_id(0)}, 8),
        ({"flightId": stocked.flight_id(1)}, 0),
        ({"flightId": "garbled"}, 0),
        ({"expiresBefore": "2000-01-01T00:00:00Z"}, 0),
        ({"expiresBefore": "2999-01-01T00:00:00Z"}, 8),
    ]

    for wanted, count in expected:
        data = (await stocked.read(asked, OPERATOR, f=wanted))["seatReservations"]
        assert (data["totalCount"], len(data["edges"])) == (count, count), wanted


# ---------------------------------------------------------------- node ids


async def test_an_id_that_is_none_of_ours_names_nothing(api: Api) -> None:
    saga = await api.world.ended(await api.world.book())
    garbled_ids = [
        "",
        "garbled",
        "%%%",
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        ids.encode("Nothing", 1),
        ids.encode("Query", 1),
        *(
            ids.encode(kind, key)
            for kind in (
                "Flight",
                "Seat",
                "Saga",
                "SagaStep",
                "SagaEvent",
                "SeatReservation",
                "Payment",
                "Booking",
                "LoyaltyAccount",
                "LoyaltyEntry",
            )
            for key in ("", "x", "-1", "0", "9" * 18, "9" * 30, "9" * 5000, "/", UUID, f"{UUID}/0", f"{UUID}/1")
        ),
        *(ids.encode("Seat", f"{api.world.flight_ids[0]}/{number}") for number in ("", "0A", "28A", "1G", "\0")),
        *(ids.encode("SagaStep", f"{saga.id}/{index}") for index in ("", "-1", "4", "x")),
        *(ids.encode("SagaEvent", f"{saga.id}/{number}") for number in ("", "0", "-1", "999", "x")),
    ]

    answers = {each: await api.ask("query($id: ID!) { node(id: $id) { id } }", id=each) for each in garbled_ids}

    assert {each: (answer.data, answer.errors) for each, answer in answers.items()} == {
        each: ({"node": None}, ()) for each in garbled_ids
    }


@sqlite_alone
@pytest.mark.parametrize("kind", ["SagaStep", "SagaEvent"])
@pytest.mark.parametrize("number", ["9" * 5_000, "٣", "03"])
async def test_an_id_is_written_in_one_way(api: Api, kind: str, number: str) -> None:
    saga = await api.world.ended(await api.world.book())
    it = ids.encode(kind, f"{saga.id}/{number}")

    assert await api.read("query($id: ID!) { node(id: $id) { id } }", id=it) == {"node": None}


@sharing
@shared_sqlite_alone
@pytest.mark.parametrize(("kind", "key"), [("Flight", "01"), ("Flight", "١"), ("Seat", "1/1a"), ("Seat", "01/1A")])
async def test_a_node_has_no_second_id(stocked: Api, kind: str, key: str) -> None:
    assert stocked.world.flight_ids[0] == 1
    it = ids.encode(kind, key)

    assert await stocked.read("query($id: ID!) { node(id: $id) { id } }", id=it) == {"node": None}


@sharing
@pytest.mark.parametrize("bad", ["garbled", "", ids.encode("Saga", UUID), ids.encode("Flight", "9" * 18)])
async def test_a_flight_id_that_names_no_flight_is_null(stocked: Api, bad: str) -> None:
    assert await stocked.read("query($id: ID!) { flight(id: $id) { id } }", id=bad) == {"flight": None}


@sharing
@pytest.mark.parametrize(
    "asked",
    [
        "query($text: String!) { booking(reference: $text) { id } }",
        "query($text: String!) { loyaltyAccount(memberNumber: $text) { id } }",
    ],
)
@pytest.mark.parametrize("text", ["", "'; --", "x" * 10_000, "\U0001f6eb"])
async def test_a_name_that_names_nothing_is_null(stocked: Api, asked: str, text: str) -> None:
    assert set((await stocked.read(asked, text=text)).values()) == {None}


@pytest.mark.parametrize("text", ["", "'; --", "x" * 10_000])
async def test_a_filter_that_nothing_fits_finds_nothing(api: Api, text: str) -> None:
    await api.world.book()
    flights = "query($f: FlightFilter) { flights(filter: $f) { totalCount } }"
    sagas = "query($f: SagaFilter) { sagas(filter: $f) { totalCount } }"

    if text:
        assert await api.read(flights, f={"number": text}) == {"flights": {"totalCount": 0}}
        assert (await api.ask(flights, f={"origin": text})).code == "BAD_USER_INPUT"
    assert await api.read(sagas, f={"memberNumber": text}) == {"sagas": {"totalCount": 0}}


@sharing
@pytest.mark.parametrize(
    "asked",
    [
        "query($text: String!) { booking(reference: $text) { id } }",
        "query($text: String!) { loyaltyAccount(memberNumber: $text) { id } }",
        "query($text: String!) { flights(filter: {number: $text}) { totalCount } }",
        "query($text: String!) { flights(filter: {origin: $text}) { totalCount } }",
        "query($text: String!) { sagas(filter: {memberNumber: $text}) { totalCount } }",
        """query($text: String!) {
          searchTrips(input: {origin: $text, destination: $text, departsOn: "2026-11-23"}) { outbound { id } }
        }""",
        "mutation($text: String!) { cancelBooking(input: {reference: $text}) { errors { __typename } } }",
        """mutation($text: String!) { bookFlight(input: {
          segments: [{flightId: "RmxpZ2h0OjE"}], passengers: [{givenName: "John", familyName: "Smith"}]
          loyalty: {memberNumber: $text}
        }) { errors { __typename } } }""",
    ],
)
async def test_a_null_character_is_no_fault(stocked: Api, asked: str) -> None:
    answer = await stocked.ask(asked, text="A\0")

    assert {error.code for error in answer.errors} <= {"BAD_USER_INPUT"}


async def test_every_node_is_found_again_by_its_id(api: Api) -> None:
    saga = await api.world.ended(await api.world.book(member_number=ADA))
    asked = """query($id: UUID!, $member: String!) {
      saga(correlationId: $id) {
        id steps { id } payment { id } booking { id } events { id }
        flights { id seats { id } } reservations { id seat { id } }
      }
      loyaltyAccount(memberNumber: $member) { id entries { edges { node { id } } } }
    }"""

    data = await api.read(asked, id=saga.correlation_id, member=ADA)

    found = list(_ids(data))
    assert len(set(found)) > 162 + 4 + 10
    kinds: set[str] = set()
    for each in (one for one in found if not one.startswith(ids.encode("Seat", "x")[:6]) or one in found[-40:]):
        node = (await api.read("query($id: ID!) { node(id: $id) { id __typename } }", id=each))["node"]
        assert node["id"] == each
        decoded = ids.decode(each)
        assert decoded is not None
        assert decoded[0] == node["__typename"]
        kinds.add(node["__typename"])
    assert kinds >= {"Flight", "Saga", "SagaStep", "SagaEvent", "SeatReservation", "Payment", "Booking"}
    assert kinds >= {"Seat", "LoyaltyAccount", "LoyaltyEntry"}


def _ids(data: Any) -> list[str]:
    match data:
        case dict():
            own = [data["id"]] if "id" in data else []
            return own + [each for value in data.values() for each in _ids(value)]
        case list():
            return [each for value in data for each in _ids(value)]
        case _:
            return []
