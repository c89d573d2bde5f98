"""Everyone sees what is their own; what is another's answers exactly as what does not exist."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any, Final

import pytest

from domain.ids import new_id
from domain.saga import SagaView
from schema import ids
from schema.context import Viewer
from tests.domain.bookings.world import ADA, World
from tests.schema.api import OPERATOR, OTHER, OWNER, Answer, Api

pytestmark = pytest.mark.parametrize("backend", ["sqlite"])

NODE: Final = "query($it: ID!) { node(id: $it) { id __typename } }"
NODES: Final = ("Saga", "SagaStep", "SagaEvent", "SeatReservation", "Payment", "Booking")


@dataclass(frozen=True)
class Theirs:
    """What the owner has, by every name that it has in the API; and names of the same shape that name nothing."""

    api: Api
    saga: SagaView
    reference: str
    nodes: dict[str, str]
    nothing: dict[str, str]


@pytest.fixture
async def theirs(api: Api) -> Theirs:
    """A confirmed booking of the owner's."""
    world = api.world
    saga = await world.ended(await world.book(member_number=ADA))
    booking = await world.booking(saga)
    assert booking is not None
    (reservation,) = await world.reservations(saga)
    keys = (saga.id, f"{saga.id}/0", f"{saga.id}/1", reservation.id, saga.id, booking.id)
    absent = new_id()
    absent_keys = (absent, f"{absent}/0", f"{absent}/1", absent, absent, absent)
    return Theirs(
        api,
        saga,
        booking.reference,
        {kind: ids.encode(kind, key) for kind, key in zip(NODES, keys, strict=True)},
        {kind: ids.encode(kind, key) for kind, key in zip(NODES, absent_keys, strict=True)},
    )


def without(answer: Answer, name: str) -> tuple[Any, ...]:
    """The answer but for the name that the caller has sent."""
    return answer.data, tuple(
        (e.code, e.message.replace(name, "<it>"), e.path, str(e.extensions)) for e in answer.errors
    )


# ---------------------------------------------------------------- reading one


@pytest.mark.parametrize("kind", NODES)
async def test_anothers_node_answers_as_one_that_does_not_exist(theirs: Theirs, kind: str) -> None:
    api, it = theirs.api, theirs.nodes[kind]

    for viewer in (OWNER, OPERATOR):
        assert await api.read(NODE, viewer, it=it) == {"node": {"id": it, "__typename": kind}}
    assert await api.ask(NODE, OTHER, it=it) == await api.ask(NODE, OTHER, it=theirs.nothing[kind])
    assert await api.read(NODE, OTHER, it=it) == {"node": None}


async def test_anothers_saga_answers_as_one_that_does_not_exist(theirs: Theirs) -> None:
    asked = "query($it: UUID!) { saga(correlationId: $it) { correlationId } }"
    api, it = theirs.api, theirs.saga.correlation_id

    for viewer in (OWNER, OPERATOR):
        assert await api.read(asked, viewer, it=it) == {"saga": {"correlationId": it}}
    assert await api.ask(asked, OTHER, it=it) == await api.ask(asked, OTHER, it=str(uuid.uuid4()))
    assert await api.read(asked, OTHER, it=it) == {"saga": None}


async def test_anothers_booking_answers_as_one_that_does_not_exist(theirs: Theirs) -> None:
    asked = "query($it: String!) { booking(reference: $it) { reference } }"
    api, it = theirs.api, theirs.reference

    for viewer in (OWNER, OPERATOR):
        assert await api.read(asked, viewer, it=it) == {"booking": {"reference": it}}
    assert await api.ask(asked, OTHER, it=it) == await api.ask(asked, OTHER, it="AAAAAA")
    assert await api.read(asked, OTHER, it=it) == {"booking": None}


async def test_a_reference_is_read_in_either_case_and_with_blanks_around(theirs: Theirs) -> None:
    asked = "query($it: String!) { booking(reference: $it) { reference } }"

    found = await theirs.api.read(asked, it=f" {theirs.reference.lower()} ")

    assert found == {"booking": {"reference": theirs.reference}}


# ---------------------------------------------------------------- lists


LISTS: Final = """query($saga: SagaFilter) {
  sagas(filter: $saga) { totalCount edges { node { correlationId } } }
  bookings { totalCount edges { node { reference } } }
}"""
NOTHING: Final = {"totalCount": 0, "edges": []}


@pytest.mark.parametrize("narrowed", [False, True])
async def test_lists_hold_ones_own_alone_and_all_for_an_operator(theirs: Theirs, narrowed: bool) -> None:
    api, world = theirs.api, theirs.api.world
    others = await world.ended(await world.book(subject=OTHER.subject, member_number=ADA))
    wanted = {"memberNumber": ADA, "flightId": api.flight_id(), "status": ["COMPLETED"]} if narrowed else None

    async def seen(viewer: Viewer) -> tuple[set[str], int, int]:
        data = await api.read(LISTS, viewer, saga=wanted)
        sagas, bookings = data["sagas"], data["bookings"]
        assert sagas["totalCount"] == len(sagas["edges"])
        assert bookings["totalCount"] == len(bookings["edges"])
        return {edge["node"]["correlationId"] for edge in sagas["edges"]}, sagas["totalCount"], bookings["totalCount"]

    assert await seen(OWNER) == ({theirs.saga.correlation_id}, 1, 1)
    assert await seen(OTHER) == ({others.correlation_id}, 1, 1)
    assert await seen(OPERATOR) == ({theirs.saga.correlation_id, others.correlation_id}, 2, 2)
    assert await api.read(LISTS, Viewer("nobody", False), saga=wanted) == {"sagas": NOTHING, "bookings": NOTHING}


async def test_anothers_cursor_shows_nothing_of_theirs(theirs: Theirs) -> None:
    api = theirs.api
    data = await api.read("{ sagas { edges { cursor } } bookings { edges { cursor } } }", OWNER)
    asked = """query($s: String, $b: String) {
      sagas(after: $s) { totalCount edges { cursor } }
      bookings(after: $b) { totalCount edges { cursor } }
    }"""
    cursors = {"s": data["sagas"]["edges"][0]["cursor"], "b": data["bookings"]["edges"][0]["cursor"]}

    assert await api.read(asked, OTHER, **cursors) == {"sagas": NOTHING, "bookings": NOTHING}


# ---------------------------------------------------------------- mutations

REFUSALS: Final = "saga { id } errors { __typename ... on UserError { message path } }"
CANCEL_SAGA: Final = f"mutation($it: UUID!) {{ cancelSaga(input: {{correlationId: $it}}) {{ {REFUSALS} }} }}"
CANCEL_BOOKING: Final = f"mutation($it: String!) {{ cancelBooking(input: {{reference: $it}}) {{ {REFUSALS} }} }}"


async def test_anothers_saga_is_cancelled_as_little_as_one_that_does_not_exist(theirs: Theirs) -> None:
    api, it = theirs.api, theirs.saga.correlation_id

    refused = await api.read(CANCEL_SAGA, OTHER, it=it)

    assert refused == await api.read(CANCEL_SAGA, OTHER, it=str(uuid.uuid4()))
    assert refused["cancelSaga"]["errors"][0]["__typename"] == "SagaNotFoundError"
    assert await api.world.view(theirs.saga) == theirs.saga
    for viewer in (OWNER, OPERATOR):
        late = await api.read(CANCEL_SAGA, viewer, it=it)
        assert late["cancelSaga"]["errors"][0]["__typename"] == "TooLateToCancelError"


async def test_anothers_running_saga_goes_on(api: Api) -> None:
    saga = await api.world.book(subject=OWNER.subject)

    refused = await api.read(CANCEL_SAGA, OTHER, it=saga.correlation_id)

    assert refused["cancelSaga"]["errors"][0]["__typename"] == "SagaNotFoundError"
    assert (await api.world.ended(saga)).status == "COMPLETED"


async def test_anothers_booking_is_cancelled_as_little_as_one_that_does_not_exist(theirs: Theirs) -> None:
    api, world = theirs.api, theirs.api.world
    before = await world.booking(theirs.saga)

    refused = await api.read(CANCEL_BOOKING, OTHER, it=theirs.reference)

    assert refused == await api.read(CANCEL_BOOKING, OTHER, it="AAAAAA")
    assert refused["cancelBooking"]["errors"][0]["__typename"] == "BookingNotFoundError"
    assert await world.booking(theirs.saga) == before


async def test_an_operator_cancels_for_the_owner_who_sees_it(theirs: Theirs) -> None:
    api = theirs.api
    begun = await api.read(CANCEL_BOOKING, OPERATOR, it=theirs.reference)
    it = begun["cancelBooking"]["saga"]["id"]

    assert await api.read(NODE, OWNER, it=it) == {"node": {"id": it, "__typename": "Saga"}}
    assert await api.read(NODE, OTHER, it=it) == {"node": None}


async def test_that_an_id_is_taken_is_all_that_another_may_learn_of_it(theirs: Theirs) -> None:
    api = theirs.api
    asked = f"mutation($i: BookFlightInput!) {{ bookFlight(input: $i) {{ {REFUSALS} }} }}"
    wish = {
        "correlationId": theirs.saga.correlation_id,
        "segments": [{"flightId": api.flight_id()}],
        "passengers": [{"givenName": "John", "familyName": "Smith"}],
        "loyalty": {"memberNumber": ADA},
    }

    theirs_again, others = await api.read(asked, OWNER, i=wish), await api.read(asked, OTHER, i=wish)

    assert theirs_again["bookFlight"]["saga"]["id"] == theirs.nodes["Saga"]
    assert others["bookFlight"]["saga"] is None
    assert [error["__typename"] for error in others["bookFlight"]["errors"]] == ["CorrelationIdReusedError"]


# ---------------------------------------------------------------- subscriptions


@pytest.mark.parametrize(
    "asked",
    [
        "subscription($it: UUID!) { sagaEvents(correlationId: $it) { sequence } }",
        "subscription($it: UUID!) { sagaEvents(correlationId: $it, after: 1000) { sequence } }",
        "subscription($it: UUID!) { saga(correlationId: $it) { sequence } }",
    ],
)
async def test_anothers_saga_is_waited_for_as_one_that_does_not_exist(theirs: Theirs, asked: str) -> None:
    async def answers(it: str) -> list[tuple[Any, ...]]:
        async with theirs.api.subscribe(asked, OTHER, it=it) as stream:
            return [without(answer, it) for answer in await stream.rest()]

    anothers, nobodys = await asyncio.gather(answers(theirs.saga.correlation_id), answers(str(uuid.uuid4())))

    assert anothers == nobodys
    assert [error[0] for error in anothers[0][1]] == ["NOT_FOUND"]
    assert len(anothers) == 1


async def test_an_operator_may_follow_anyones(theirs: Theirs) -> None:
    asked = "subscription($it: UUID!) { sagaEvents(correlationId: $it) { sequence } }"
    async with theirs.api.subscribe(asked, OPERATOR, it=theirs.saga.correlation_id) as stream:
        assert len(await stream.rest()) == theirs.saga.sequence


# ---------------------------------------------------------------- what is the operator's

SKIP: Final = (
    'mutation($it: UUID!) { skipStep(input: {correlationId: $it, step: RESERVE_SEAT, reason: "No."}) { saga { id } } }'
)
RETRY: Final = "mutation($it: UUID!) { retrySaga(input: {correlationId: $it}) { saga { id } } }"


@pytest.mark.parametrize("viewer", [OWNER, OTHER], ids=lambda viewer: viewer.subject)
@pytest.mark.parametrize(("field", "asked"), [("skipStep", SKIP), ("retrySaga", RETRY)])
async def test_only_an_operator_steers_sagas(theirs: Theirs, viewer: Viewer, field: str, asked: str) -> None:
    api = theirs.api

    answers = [await api.ask(asked, viewer, it=it) for it in (theirs.saga.correlation_id, str(uuid.uuid4()))]

    assert answers[0] == answers[1]
    assert answers[0].code == "FORBIDDEN"
    assert answers[0].errors[0].path == (field,)
    assert not (await api.ask(asked, OPERATOR, it=theirs.saga.correlation_id)).errors


@pytest.mark.parametrize("viewer", [OWNER, OTHER], ids=lambda viewer: viewer.subject)
@pytest.mark.parametrize(
    "asked",
    [
        "{ sagaStatistics { started } }",
        "{ seatReservations { totalCount } }",
        # Who may not ask learns that first, not what is wrong with the question.
        '{ seatReservations(first: 0, after: "garbled") { totalCount } }',
    ],
)
async def test_only_an_operator_reads_about_all_and_the_rest_of_the_answer_stands(
    api: Api, viewer: Viewer, asked: str
) -> None:
    beside = asked.removesuffix("}") + " flights { totalCount } }"

    answer = await api.ask(beside, viewer)

    assert answer.code == "FORBIDDEN"
    field = asked.split()[1].partition("(")[0]
    assert answer.data == {field: None, "flights": {"totalCount": 3}}
    assert answer.errors[0].path == (field,)


async def test_an_operator_reads_about_all(theirs: Theirs) -> None:
    data = await theirs.api.read("{ sagaStatistics { started } seatReservations { totalCount } }", OPERATOR)

    assert data == {"sagaStatistics": {"started": 1}, "seatReservations": {"totalCount": 1}}


@pytest.mark.parametrize("document", ["sagaFeed { sequence }", "sagaChanges { matches }"])
@pytest.mark.parametrize("viewer", [OWNER, OTHER], ids=lambda viewer: viewer.subject)
async def test_only_an_operator_follows_all_sagas(api: Api, viewer: Viewer, document: str) -> None:
    async with api.subscribe(f"subscription {{ {document} }}", viewer) as stream:
        assert [answer.code for answer in await stream.rest()] == ["FORBIDDEN"]
    assert api.world.engine.feed.readers == 0


# ---------------------------------------------------------------- loyalty

ACCOUNT: Final = "query($it: String!) { loyaltyAccount(memberNumber: $it) { balance entries { totalCount } } }"


async def test_anothers_account_answers_as_one_that_does_not_exist(api: Api) -> None:
    closed = api.with_closed_accounts()
    entries = await api.read(
        f'{{ loyaltyAccount(memberNumber: "{ADA}") {{ entries {{ edges {{ node {{ id }} }} }} }} }}'
    )
    entry = entries["loyaltyAccount"]["entries"]["edges"][0]["node"]["id"]
    account = ids.encode("LoyaltyAccount", ADA)

    for viewer in (OWNER, OPERATOR):
        assert (await closed.read(ACCOUNT, viewer, it=ADA))["loyaltyAccount"]["balance"] == 50_000
        assert [(await closed.read(NODE, viewer, it=it))["node"]["id"] for it in (account, entry)] == [account, entry]
    for viewer in (OTHER, Viewer("no member", False)):
        assert await closed.ask(ACCOUNT, viewer, it=ADA) == await closed.ask(ACCOUNT, viewer, it="SS9999999")
        assert await closed.read(ACCOUNT, viewer, it=ADA) == {"loyaltyAccount": None}
        for it, absent in (
            (account, ids.encode("LoyaltyAccount", "SS9999999")),
            (entry, ids.encode("LoyaltyEntry", new_id())),
        ):
            assert await closed.ask(NODE, viewer, it=it) == await closed.ask(NODE, viewer, it=absent)
            assert await closed.read(NODE, viewer, it=it) == {"node": None}


async def test_where_accounts_are_open_everyone_sees_each(api: Api) -> None:
    assert (await api.read(ACCOUNT, OTHER, it=ADA))["loyaltyAccount"]["balance"] == 50_000


@pytest.mark.parametrize("points", [0, 1_000])
async def test_anothers_account_earns_and_pays_as_little_as_one_that_does_not_exist(api: Api, points: int) -> None:
    closed = api.with_closed_accounts()
    asked = f"mutation($i: BookFlightInput!) {{ bookFlight(input: $i) {{ {REFUSALS} }} }}"

    async def refused(member: str) -> Any:
        wish = {
            "segments": [{"flightId": api.flight_id()}],
            "passengers": [{"givenName": "John", "familyName": "Smith"}],
            "loyalty": {"memberNumber": member, "pointsToRedeem": points},
        }
        data = await closed.read(asked, OTHER, i=wish)
        return [
            (error["__typename"], error["message"].replace(member, "<it>")) for error in data["bookFlight"]["errors"]
        ]

    anothers, nobodys = await refused(ADA), await refused("SS9999999")

    assert [kind for kind, _ in nobodys] == ["MemberNotFoundError"]
    assert anothers == nobodys
    assert await _sagas(api.world) == 0


async def _sagas(world: World) -> int:
    return await world.sagas_count()
