"""A booking for somebody who names its reference and a passenger: without what is personal or about its payment."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from graphql import GraphQLObjectType, get_named_type
from sqlalchemy import text

from app.http.auth import GUEST
from domain.bookings import Booking, Passenger
from domain.saga import SagaView
from schema import ids
from schema.context import RequestContext
from schema.errors import limit_exceeded
from schema.execution import Execution
from tests.domain.bookings.world import ADA, World
from tests.schema.access_rules import selection
from tests.schema.api import OPERATOR, OTHER, OWNER, Answer, Api
from tests.schema.test_access_matrix import SCHEMA, UNBOUNDED
from tests.support.statements import statements

AUGUSTA: Final = Passenger("Augusta", "Byron-Lovelace", "1915-12-10")
SUKARNO: Final = Passenger("Sukarno", "", "1921-06-06")
MUELLER: Final = Passenger("Jürgen", "Müller")
SHOWN: Final = "reference status createdAt passengers { givenName } segments { cabinClass flight { number } }"
ASKED: Final = f"""query($it: String!, $name: String!) {{
  guestBooking(reference: $it, familyName: $name) {{ {SHOWN} }}
}}"""

#: The fields of a booking that a guest may not have: those that are null then, and those that are refused.
LEFT_OUT: Final = {"payment", "cancellation"}
REFUSED: Final = {"total", "milesAwarded", "pointsRedeemed", "saga"}
viewers = pytest.mark.parametrize(
    "viewer", [GUEST, OTHER, OWNER, OPERATOR], ids=["guest", "other customer", "owner", "operator"]
)
sqlite_alone = pytest.mark.parametrize("backend", ["sqlite"])


@dataclass
class Scene:
    api: Api
    saga: SagaView
    booking: Booking

    async def ask(self, name: str, reference: str | None = None, document: str = ASKED) -> Answer:
        it = self.booking.reference if reference is None else reference
        return await self.api.ask(document, GUEST, it=it, name=name)

    async def finds(self, name: str, reference: str | None = None) -> bool:
        return (await self.ask(name, reference)).good["guestBooking"] is not None


async def booked(world: World, **changes: Any) -> tuple[SagaView, Booking]:
    saga = await world.ended(await world.book(passengers=[AUGUSTA, SUKARNO, MUELLER], member_number=ADA, **changes))
    booking = await world.booking(saga)
    assert booking is not None
    return saga, booking


@pytest.fixture
async def scene(api: Api) -> Scene:
    return Scene(replace(api, schema=UNBOUNDED), *await booked(api.world))


def fields() -> list[str]:
    booking = SCHEMA.type_map["Booking"]
    assert isinstance(booking, GraphQLObjectType)
    return list(booking.fields)


def everything(field: str) -> str:
    booking = SCHEMA.type_map["Booking"]
    assert isinstance(booking, GraphQLObjectType)
    target = get_named_type(booking.fields[field].type)
    return f"{field} {selection(SCHEMA, target.name, set())}" if hasattr(target, "fields") else field


@sqlite_alone
@viewers
async def test_nothing_personal_and_nothing_about_money_is_told_by_any_field(scene: Scene, viewer: Any) -> None:
    """Also not to the owner, or to an operator: they have `booking`."""
    saga, booking, world = scene.saga, scene.booking, scene.api.world
    cancellation = await world.bookings.cancel_booking(
        booking.reference, correlation_id=None, simulation=None, subject=None, by="operator"
    )
    assert isinstance(cancellation, SagaView)
    await world.ended(cancellation)
    payment = await world.payment(saga)
    assert payment is not None
    words = {
        *("Augusta", "Byron", "1915", "Sukarno", "1921", "Jürgen", "Müller", ADA),
        *(view.correlation_id for view in (saga, cancellation)),
        *(view.id for view in (saga, cancellation)),
        *(ids.encode("Saga", view.id) for view in (saga, cancellation)),
        *(str(payment.reference), ids.encode("Payment", saga.id)),
        *(ids.encode("SeatReservation", reservation.id) for reservation in await world.reservations(saga)),
    }
    for field in fields():
        document = ASKED.replace(SHOWN, everything(field))
        answer = await scene.api.ask(document, viewer, it=booking.reference, name="Byron-Lovelace")
        told = json.dumps(repr(answer), ensure_ascii=False)
        # What a seat costs now is everybody's.
        secret = words if "'fares'" in told else words | {str(booking.total.amount)}
        assert {word for word in secret if word in told} == set(), field
        if field in REFUSED:
            assert (answer.code, answer.errors[0].path) == ("FORBIDDEN", ("guestBooking", field))
            assert answer.data == {"guestBooking": None}
        else:
            assert (answer.good["guestBooking"][field] is None) is (field in LEFT_OUT), field


@sqlite_alone
@viewers
async def test_what_is_shown_is_the_journey(scene: Scene, viewer: Any) -> None:
    document = ASKED.replace(
        SHOWN,
        """reference status passengers { givenName familyName dateOfBirth }
        segments { cabinClass flight { id } seats { seat { number } passenger { familyName } } }""",
    )
    found = (await scene.api.read(document, viewer, it=scene.booking.reference, name="Müller"))["guestBooking"]

    assert (found["reference"], found["status"]) == (scene.booking.reference, "CONFIRMED")
    assert found["passengers"] == [{"givenName": "*", "familyName": "*", "dateOfBirth": None}] * 3
    (segment,) = found["segments"]
    assert segment["flight"]["id"] == scene.api.flight_id(0)
    assert [seat["passenger"] for seat in segment["seats"]] == [{"familyName": "*"}] * 3
    assert len({seat["seat"]["number"] for seat in segment["seats"]}) == 3


@sqlite_alone
async def test_a_guest_cannot_fetch_the_booking_again_by_its_id(scene: Scene) -> None:
    found = (await scene.ask("Müller", document=ASKED.replace(SHOWN, "id"))).good["guestBooking"]
    both = """query($it: String!, $name: String!, $id: ID!) {
      guestBooking(reference: $it, familyName: $name) { id passengers { givenName } }
      node(id: $id) { id }
      booking(reference: $it) { id }
    }"""

    answer = await scene.api.read(both, GUEST, it=scene.booking.reference, name="Müller", id=found["id"])

    assert answer["guestBooking"]["id"] == found["id"] == ids.encode("Booking", scene.booking.id)
    assert answer["node"] is answer["booking"] is None


@pytest.mark.parametrize("name", ["Byron-Lovelace", "byron lovelace", "MUELLER", "muller", "Müller", "sukarno"])
@sqlite_alone
async def test_a_family_name_is_compared_as_in_a_search(scene: Scene, name: str) -> None:
    assert await scene.finds(name)


@pytest.mark.parametrize("name", ["", " ", "-", "Augusta", "Byron", "Byron-Lovelace-King", "*", "%", "x" * 10_000])
@sqlite_alone
async def test_any_other_name_finds_nothing(scene: Scene, name: str) -> None:
    assert not await scene.finds(name)


async def test_a_reference_is_taken_as_people_write_it(scene: Scene) -> None:
    it = scene.booking.reference
    for reference in (it, it.lower(), f" {it} ", f"{it[:3]} {it[3:]}", " ".join(it.lower()), f"\u00a0{it}\n"):
        assert await scene.finds("Byron-Lovelace", reference), reference
    for reference in (it[:5], f"{it}A", "AAAAAA", "", "'; --"):
        assert not await scene.finds("Byron-Lovelace", reference), reference


async def test_people_whose_names_are_not_folded_yet_are_found(scene: Scene) -> None:
    """A release without the column may have written them."""
    await scene.api.world.database.write(
        lambda connection: connection.execute(text("UPDATE passengers SET family_folded = NULL"))
    )

    assert [await scene.finds(name) for name in ("byron lovelace", "Mueller", "Sukarno")] == [True] * 3
    assert [await scene.finds(name) for name in ("Augusta", "Smith", "")] == [False] * 3


async def test_a_wrong_name_and_an_unknown_reference_are_answered_alike_and_by_the_same_statements(
    scene: Scene,
) -> None:
    await scene.api.world.engine.runner.stop()
    await scene.ask("Smith", "AAAAAA")
    answers, asked = [], []
    for name, reference in (("Smith", scene.booking.reference), ("Smith", "AAAAAA"), ("", scene.booking.reference)):
        with statements(scene.api.world.database) as seen:
            answers.append(await scene.ask(name, reference))
        asked.append(seen)

    assert answers == [Answer({"guestBooking": None})] * 3
    assert asked[0] == asked[1] == asked[2] != []


@sqlite_alone
async def test_every_lookup_counts_and_one_too_many_reads_nothing(scene: Scene) -> None:
    """Each alias is one: a document cannot guess ten names for one."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1
        if counted > 2:
            raise limit_exceeded("No more.", limit=2, retry_after_seconds=7)

    names = ("a", "b", "c")
    each = 'guestBooking(reference: $it, familyName: "Müller") { reference }'
    document = f"query($it: String!) {{ {' '.join(f'{alias}: {each}' for alias in names)} }}"
    context = RequestContext(scene.api.services, GUEST, count_guest=count)
    execution = scene.api.schema.begin(document, variables={"it": scene.booking.reference}, context=context)
    assert isinstance(execution, Execution)
    answer = Answer.of(await execution.result())

    assert counted == 3
    assert answer.code == "LIMIT_EXCEEDED"
    assert answer.errors[0].extensions["retryAfterSeconds"] == 7
    assert answer.data is not None
    assert [answer.data[alias] is None for alias in names] == [False, False, True]
