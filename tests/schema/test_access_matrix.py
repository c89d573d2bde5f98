"""Every field of the API, as a stranger, as another customer, as the owner, as an operator.

What is another's is answered as what does not exist: the same data, the same errors, and by the
same statements, so that it takes the same time. Whoever bears no token where one is needed does
not get as far as here.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from graphql import GraphQLInterfaceType, GraphQLObjectType, build_schema, get_named_type

from domain.actors import ANONYMOUS
from domain.bookings import Passenger
from domain.bulk import BulkAction, BulkActionKind, BulkRequest
from domain.ids import new_id
from domain.operators import ActionQuery, OperatorActionKind, page_actions, record
from domain.saga import SagaQuery, SagaView
from domain.storage import Database
from schema import ids
from schema.context import Scope, Viewer
from schema.documents import Limits
from schema.execution import Executable
from schema.root import create_schema, sdl
from tests.domain.bookings.world import ADA, World, world_of
from tests.schema.access_rules import FOR_OPERATORS, MAY_LEAD_TO, ROOTS, TYPES, Whose, fields_of, selection
from tests.schema.api import OPERATOR, OTHER, OWNER, Answer, Api, api_of
from tests.support.asking import operator
from tests.support.statements import statements
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA: Final = build_schema(sdl())
GRACE: Final = operator("grace", "Because.")
STRANGER: Final = Viewer("stranger", is_operator=False)
OTHERS: Final = (STRANGER, OTHER)
#: Documents here ask for everything at once.
UNBOUNDED: Final = Executable(create_schema(), Limits(100, 10_000, 1_000_000, 10**15))
#: How each field of the roots is asked for one thing, `$it`, or for all.
QUESTIONS: Final = {
    "Query.node": ("($it: ID!)", "(id: $it)"),
    "Query.flight": ("($it: ID!)", "(id: $it)"),
    "Query.flights": ("", ""),
    "Query.searchTrips": ("($it: TripSearchInput!)", "(input: $it)"),
    "Query.airports": ("", ""),
    "Query.sagaDefinitions": ("", ""),
    "Query.saga": ("($it: UUID!)", "(correlationId: $it)"),
    "Query.sagas": ("", ""),
    "Query.sagaStatistics": ("", ""),
    "Query.booking": ("($it: String!)", "(reference: $it)"),
    "Query.guestBooking": ("($it: String!)", '(reference: $it, familyName: "Byron-Lovelace")'),
    "Query.bookings": ("", ""),
    "Query.seatReservations": ("", ""),
    "Query.search": ("", '(text: "Byron-Lovelace")'),
    "Query.incidents": ("", ""),
    "Query.operatorActions": ("", ""),
    "Query.bulkAction": ("($it: ID!)", "(id: $it)"),
    "Query.bulkActions": ("", ""),
    "Query.paymentProvider": ("", ""),
    "Query.viewer": ("", ""),
    "Query.loyaltyAccount": ("($it: String!)", "(memberNumber: $it)"),
    "Mutation.bookFlight": ("($it: BookFlightInput!)", "(input: $it)"),
    "Mutation.payForHold": ("($it: UUID!)", "(input: {correlationId: $it, payment: {}})"),
    "Mutation.confirmCard": ("($it: UUID!)", "(input: {correlationId: $it})"),
    "Mutation.cancelSaga": ("($it: UUID!)", "(input: {correlationId: $it})"),
    "Mutation.cancelBooking": ("($it: String!)", "(input: {reference: $it})"),
    "Mutation.retrySaga": ("($it: UUID!)", "(input: {correlationId: $it})"),
    "Mutation.skipStep": ("($it: UUID!)", '(input: {correlationId: $it, step: RESERVE_SEAT, reason: "No."})'),
    "Mutation.settleSaga": ("($it: UUID!)", '(input: {correlationId: $it, how: "Paid back."})'),
    "Mutation.startBulkAction": ("", '(input: {kind: CANCEL, reason: "No.", filter: {status: PENDING}})'),
    "Mutation.stopBulkAction": ("($it: ID!)", "(input: {id: $it})"),
    "Mutation.pausePaymentProvider": ("", '(input: {reason: "No."})'),
    "Mutation.resumePaymentProvider": ("", '(input: {reason: "No."})'),
    "Subscription.sagaEvents": ("($it: UUID!)", "(correlationId: $it)"),
    "Subscription.saga": ("($it: UUID!)", "(correlationId: $it)"),
    "Subscription.sagaFeed": ("", ""),
    "Subscription.sagaChanges": ("", ""),
    "Subscription.bulkAction": ("($it: ID!)", "(id: $it)"),
    "Subscription.seatChanges": ("($it: ID!)", "(flightId: $it)"),
}


def document(name: str, seen: set[str] | None = None) -> str:
    """The field of a root, as Query.saga or Query.node Seat, with everything that can be had through it.

    `seen` is told what that is.
    """
    root, _, node = name.partition(" ")
    kind, _, field = root.partition(".")
    holder = SCHEMA.type_map[kind]
    assert isinstance(holder, GraphQLObjectType)
    named = node or get_named_type(holder.fields[field].type).name
    variables, arguments = QUESTIONS[root]
    everything = selection(SCHEMA, named, set() if seen is None else seen)
    if node:
        everything = f"{{ __typename ... on {node} {everything} }}"
    return f"{kind.lower()}{variables} {{ {field}{arguments} {everything} }}"


def roots(kind: str, *whose: Whose) -> list[str]:
    """The fields of a root whose rule is one of these."""
    return [root for root, rule in ROOTS.items() if root.startswith(f"{kind}.") and rule in whose]


def nodes(*whose: Whose) -> list[str]:
    """The kinds of nodes whose rule is one of these."""
    node = SCHEMA.type_map["Node"]
    assert isinstance(node, GraphQLInterfaceType)
    return sorted(kind.name for kind in SCHEMA.get_possible_types(node) if TYPES[kind.name][0] in whose)


# ---------------------------------------------------------------------- the rules themselves


async def test_every_field_has_a_rule_and_a_way_to_be_asked_for() -> None:
    ruled = {f"{name}.{field}" for name, (_, fields) in TYPES.items() for field in fields.split()} | set(ROOTS)
    asked: set[str] = set(QUESTIONS)
    for name in (*QUESTIONS, *(f"Query.node {kind}" for kind in nodes(*Whose))):
        document(name, asked)

    there_are = {f"{name}.{field}" for name, field, _ in fields_of(SCHEMA)}
    assert there_are - ruled == set(), "say in access_rules.py whose these are"
    assert ruled == there_are
    assert asked == there_are, "say in QUESTIONS how these are asked for"


async def test_no_field_leads_to_what_is_less_everyones_than_itself() -> None:
    for name, field, targets in fields_of(SCHEMA):
        if (name, field) == ("Query", "node"):
            # By the kind of the node.
            continue
        whose = ROOTS.get(f"{name}.{field}") or TYPES[name][0]
        if (name, field) in FOR_OPERATORS:
            whose = Whose.OPERATORS
        for target in targets:
            assert TYPES[target][0] in MAY_LEAD_TO[whose], f"{name}.{field} leads to {target}"


# ---------------------------------------------------------------------- what there is


@dataclass(frozen=True)
class Scene:
    """What the owner has, the names of it all, and names of the same kind that name nothing.

    `words` are those by which anybody would know the owner's things again.
    """

    api: Api
    saga: SagaView
    theirs: dict[str, Any]
    nothing: dict[str, Any]
    words: frozenset[str]

    async def ask(self, name: str, viewer: Viewer, it: Any = None) -> Answer:
        return await self.api.ask(document(name), viewer, **({} if it is None else {"it": it}))

    async def follow(self, name: str, viewer: Viewer, it: Any = None) -> list[Answer]:
        """Every frame until the subscription ends."""
        variables = {} if it is None else {"it": it}
        async with self.api.subscribe(document(name), viewer, **variables) as stream:
            return await stream.rest()

    def tells(self, answer: Answer | list[Answer]) -> set[str]:
        """Which of the owner's words stand in an answer."""
        text = json.dumps(repr(answer), ensure_ascii=False)
        return {word for word in self.words if word in text}


@asynccontextmanager
async def setting(template: Path, folder: Path) -> AsyncIterator[Scene]:
    database = Database(f"sqlite+aiosqlite:///{shutil.copy(template, folder / 'seatsaga.db')}")
    try:
        async with world_of(database, folder, unknown_saga_wait_seconds=0) as world, api_of(world) as api:
            yield await set_up(world, api)
    finally:
        await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A booking of the owner's, one that was cancelled, one that was refused; and a booking of another's."""
    async with setting(sqlite_template, tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def still(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """The same where nothing goes on, so that every statement is the asker's."""
    async with setting(sqlite_template, tmp_path_factory.mktemp("still")) as scene:
        await scene.api.world.engine.runner.stop()
        yield scene


async def set_up(world: World, api: Api) -> Scene:
    async def book(**changes: Any) -> SagaView:
        augusta = Passenger("Augusta", "Byron-Lovelace", "1915-12-10")
        return await world.ended(await world.book(passengers=[augusta], member_number=ADA, **changes))

    saga, refused, undone = await book(), await book(payment_token="pm_card_chargeDeclined"), await book()
    await world.ended(await world.book(subject=OTHER.subject))
    booking, cancelled = await world.booking(saga), await world.booking(undone)
    payment, (reservation,) = await world.payment(saga), await world.reservations(saga)
    assert booking is not None
    assert cancelled is not None
    assert payment is not None
    cancellation = await world.bookings.cancel_booking(
        cancelled.reference, correlation_id=None, simulation=None, subject=OWNER.subject, by=OWNER.subject
    )
    assert isinstance(cancellation, SagaView)
    await world.ended(cancellation)
    account = await api.read(
        f'{{ loyaltyAccount(memberNumber: "{ADA}") {{ id entries {{ edges {{ node {{ id }} }} }} }} }}', OWNER
    )
    entry = account["loyaltyAccount"]["entries"]["edges"][0]["node"]["id"]
    absent = new_id()
    await world.database.write(
        lambda connection: record(
            connection, GRACE, OperatorActionKind.JOB_RUN, at=1, job_id="sweep", before="on", after="on; run begun"
        )
    )
    (action,) = await world.database.read(
        lambda connection: page_actions(connection, ActionQuery(), after=None, limit=2)
    )
    bulk_action = await api.services.bulk.begin(
        BulkRequest(BulkActionKind.CANCEL, SagaQuery(statuses=[saga.status]), "{}", "Because."), GRACE
    )
    assert isinstance(bulk_action, BulkAction)
    keys = {
        "BulkAction": (bulk_action.id, absent),
        "Saga": (saga.id, absent),
        "SagaStep": (f"{saga.id}/0", f"{absent}/0"),
        "SagaEvent": (f"{saga.id}/1", f"{absent}/1"),
        "SeatReservation": (reservation.id, absent),
        "Payment": (saga.id, absent),
        "Booking": (booking.id, absent),
        "OperatorAction": (action.id, absent),
        "LoyaltyAccount": (ADA, "SS9999999"),
        "Flight": (world.flight_ids[0], 99),
        "Seat": (f"{world.flight_ids[0]}/4A", "99/4A"),
    }
    node_ids = {kind: (ids.encode(kind, own), ids.encode(kind, other)) for kind, (own, other) in keys.items()}
    node_ids["LoyaltyEntry"] = (entry, ids.encode("LoyaltyEntry", absent))
    correlation_ids = (saga.correlation_id, str(uuid.uuid4()))
    names = {
        **{f"Query.node {kind}": pair for kind, pair in node_ids.items()},
        "Query.saga": correlation_ids,
        **dict.fromkeys(
            ("Query.bulkAction", "Mutation.stopBulkAction", "Subscription.bulkAction"), node_ids["BulkAction"]
        ),
        "Query.booking": (booking.reference, "AAAAAA"),
        "Query.loyaltyAccount": (ADA, "SS9999999"),
        "Mutation.payForHold": correlation_ids,
        "Mutation.confirmCard": correlation_ids,
        "Mutation.cancelSaga": correlation_ids,
        "Mutation.cancelBooking": (booking.reference, "AAAAAA"),
        "Mutation.retrySaga": correlation_ids,
        "Mutation.skipStep": correlation_ids,
        "Mutation.settleSaga": correlation_ids,
        "Subscription.sagaEvents": correlation_ids,
        "Subscription.saga": correlation_ids,
    }
    words = {
        *("Augusta", "Byron-Lovelace", "1915-12-10", booking.reference, cancelled.reference, str(payment.reference)),
        *(view.correlation_id for view in (saga, refused, undone, cancellation)),
        *(view.id for view in (saga, refused, undone, cancellation)),
        *(own for kind, (own, _) in node_ids.items() if TYPES[kind][0] is not Whose.EVERYONES),
    }
    return Scene(
        replace(api, schema=UNBOUNDED).with_closed_accounts(),
        saga,
        {name: own for name, (own, _) in names.items()},
        {name: other for name, (_, other) in names.items()},
        frozenset(words),
    )


def shared(data: Any) -> Any:
    """What operators see, without what they alone see: there an owner finds null."""
    if isinstance(data, dict):
        hidden = {field for _, field in FOR_OPERATORS}
        return {name: None if name in hidden else shared(value) for name, value in data.items()}
    return [shared(value) for value in data] if isinstance(data, list) else data


ONE_BY_ONE: Final = [
    *(f"Query.node {kind}" for kind in nodes(Whose.OWNERS)),
    *(root for root in roots("Query", Whose.OWNERS) if root != "Query.node"),
    *roots("Mutation", Whose.OWNERS),
]


# ---------------------------------------------------------------------- the owner's


@pytest.mark.parametrize("name", ONE_BY_ONE)
async def test_what_is_anothers_is_answered_as_what_does_not_exist(scene: Scene, name: str) -> None:
    for viewer in OTHERS:
        anothers = await scene.ask(name, viewer, scene.theirs[name])
        assert not anothers.errors
        assert anothers == await scene.ask(name, viewer, scene.nothing[name])
        assert scene.tells(anothers) == set()


@pytest.mark.parametrize("name", ONE_BY_ONE)
async def test_what_is_anothers_takes_the_statements_of_what_does_not_exist(still: Scene, name: str) -> None:
    for viewer in OTHERS:
        # The first use of a connection asks for things of its own.
        await still.ask(name, viewer, still.nothing[name])
        with statements(still.api.world.database) as for_anothers:
            await still.ask(name, viewer, still.theirs[name])
        with statements(still.api.world.database) as for_nothing:
            await still.ask(name, viewer, still.nothing[name])

        assert for_anothers == for_nothing
        # Whose account a number is, is known without looking.
        assert for_nothing or "oyaltyAccount" in name


@pytest.mark.parametrize("name", [name for name in ONE_BY_ONE if name.startswith("Query.")])
async def test_the_owner_and_an_operator_see_all_of_it_alike(scene: Scene, name: str) -> None:
    owners = await scene.ask(name, OWNER, scene.theirs[name])

    assert list(owners.good.values()) != [None]
    assert owners.good == shared((await scene.ask(name, OPERATOR, scene.theirs[name])).good)
    assert await scene.ask(name, OPERATOR, scene.nothing[name]) == await scene.ask(name, OTHER, scene.nothing[name])


async def test_who_asks_at_the_same_moment_shares_a_read_and_not_what_may_be_seen(scene: Scene) -> None:
    viewers = [OWNER, OTHER, OPERATOR, STRANGER] * 5
    it = scene.saga.correlation_id
    answers = await asyncio.gather(
        *(scene.api.ask("query($it: UUID!) { saga(correlationId: $it) { id } }", viewer, it=it) for viewer in viewers)
    )

    for viewer, answer in zip(viewers, answers, strict=True):
        assert (answer.good["saga"] is not None) is (viewer in (OWNER, OPERATOR))


@pytest.mark.parametrize("root", roots("Subscription", Whose.OWNERS))
async def test_what_is_anothers_is_followed_as_what_does_not_exist(still: Scene, root: str) -> None:
    async def followed(viewer: Viewer, it: str) -> tuple[list[Any], list[str], set[str]]:
        with statements(still.api.world.database) as asked:
            frames = await still.follow(root, viewer, it)
        refused = [(frame.data, frame.code, frame.errors[0].message.replace(it, "<it>")) for frame in frames]
        # How often it is looked for while it is waited for is the clock's matter.
        return refused, list(dict.fromkeys(asked)), still.tells(frames) - {it}

    for viewer in OTHERS:
        anothers, nothings = [await followed(viewer, name[root]) for name in (still.theirs, still.nothing)]
        assert anothers == nothings
        refused, asked, told = anothers
        assert [code for _, code, _ in refused] == ["NOT_FOUND"]
        assert asked
        assert told == set()


@pytest.mark.parametrize("root", roots("Subscription", Whose.OWNERS))
async def test_the_owner_and_an_operator_follow_it_alike(scene: Scene, root: str) -> None:
    owners = await scene.follow(root, OWNER, scene.theirs[root])

    assert owners
    assert all(frame.good for frame in owners)
    operators = await scene.follow(root, OPERATOR, scene.theirs[root])
    assert [frame.good for frame in owners] == [shared(frame.good) for frame in operators]


async def test_the_owner_and_an_operator_may_cancel(scene: Scene) -> None:
    world = scene.api.world
    for viewer in (OWNER, OPERATOR):
        booking = await world.booking(await world.ended(await world.book(subject=OWNER.subject)))
        assert booking is not None
        late = await scene.ask("Mutation.cancelSaga", viewer, scene.saga.correlation_id)
        begun = await scene.ask("Mutation.cancelBooking", viewer, booking.reference)
        assert late.good["cancelSaga"]["errors"][0]["__typename"] == "TooLateToCancelError"
        assert begun.good["cancelBooking"]["saga"]["booking"]["reference"] == booking.reference
        cancellation = await world.engine.saga(begun.good["cancelBooking"]["saga"]["correlationId"])
        assert cancellation is not None
        assert cancellation.subject == OWNER.subject
        await world.ended(cancellation)


# ---------------------------------------------------------------------- operators'


@pytest.mark.parametrize("root", [*roots("Query", Whose.OPERATORS), *roots("Mutation", Whose.OPERATORS)])
async def test_what_is_operators_is_forbidden_before_anything_is_read(still: Scene, root: str) -> None:
    name = root.partition(".")[2]
    for viewer in (*OTHERS, OWNER):
        for it in (still.theirs.get(root), still.nothing.get(root)):
            with statements(still.api.world.database) as asked:
                answer = await still.ask(root, viewer, it)
            assert (answer.code, answer.errors[0].path) == ("FORBIDDEN", (name,))
            assert answer.data in (None, {name: None})
            assert asked == []
    assert (await still.ask(root, OPERATOR, still.theirs.get(root))).good[name] is not None


@pytest.mark.parametrize("kind", nodes(Whose.OPERATORS))
async def test_a_node_of_operators_is_not_there_for_others(still: Scene, kind: str) -> None:
    name = f"Query.node {kind}"
    for viewer in (*OTHERS, OWNER):
        for it in (still.theirs[name], still.nothing[name]):
            with statements(still.api.world.database) as asked:
                answer = await still.ask(name, viewer, it)
            assert answer.good == {"node": None}
            assert asked == []
    assert (await still.ask(name, OPERATOR, still.theirs[name])).good["node"]["by"]["subject"] == "grace"
    assert (await still.ask(name, OPERATOR, still.nothing[name])).good == {"node": None}


@pytest.mark.parametrize("root", roots("Subscription", Whose.OPERATORS))
async def test_what_is_operators_is_not_followed_by_others(still: Scene, root: str) -> None:
    for viewer in (*OTHERS, OWNER):
        with statements(still.api.world.database) as asked:
            (frame,) = await still.follow(root, viewer, still.theirs.get(root))
        assert frame.code == "FORBIDDEN"
        assert asked == []


async def test_an_operator_follows_all(scene: Scene) -> None:
    async with scene.api.subscribe(document("Subscription.sagaFeed"), OPERATOR) as stream:
        first = asyncio.create_task(stream.next())
        await eventually(lambda: scene.api.world.engine.feed.readers)
        saga = await scene.api.world.book(subject=OTHER.subject)
        assert (await first).good["sagaFeed"]["correlationId"] == saga.correlation_id
        await scene.api.world.ended(saga)


# ---------------------------------------------------------------------- everyone's

PUBLIC: Final = [
    *(f"Query.node {kind}" for kind in nodes(Whose.EVERYONES)),
    *roots("Query", Whose.EVERYONES),
]


@pytest.mark.parametrize("name", PUBLIC)
async def test_what_is_everyones_is_the_same_for_all_and_about_nobody(scene: Scene, name: str) -> None:
    departs_on = (await scene.api.read("{ flights { edges { node { departsAt } } } }"))["flights"]["edges"][0]
    its = {
        "Query.flight": scene.api.flight_id(),
        "Query.searchTrips": {
            "origin": "LHR",
            "destination": "JFK",
            "departsOn": departs_on["node"]["departsAt"][:10],
        },
    } | scene.theirs
    answers = [await scene.ask(name, viewer, its.get(name)) for viewer in (*OTHERS, OWNER, OPERATOR)]

    assert list(answers[0].good.values()) != [None]
    assert all(answer == answers[0] for answer in answers)
    assert scene.tells(answers) == set()


@pytest.mark.parametrize("root", roots("Subscription", Whose.EVERYONES))
async def test_what_is_everyones_is_followed_by_all_alike(scene: Scene, root: str) -> None:
    frames = []
    for viewer in (*OTHERS, OWNER, OPERATOR):
        async with scene.api.subscribe(document(root), viewer, it=scene.api.flight_id()) as stream:
            frames.append(await stream.next())

    assert frames[0].good
    assert all(frame == frames[0] for frame in frames)
    assert scene.tells(frames) == set()


# ---------------------------------------------------------------------- the asker's


async def test_the_viewer_is_described_by_their_own_token(scene: Scene) -> None:
    async def viewer(who: Viewer) -> tuple[dict[str, Any], int]:
        found = (await scene.ask("Query.viewer", who)).good["viewer"]
        return found, found.pop("bookings")["totalCount"]

    described = {who.subject: (await viewer(who))[0] for who in (OWNER, OPERATOR)}
    assert described["someone"] == {"role": "CUSTOMER", "subject": "someone", "memberNumbers": [ADA], "scopes": []}
    assert described["operator"] == {
        "role": "OPERATOR",
        "subject": "operator",
        "memberNumbers": [],
        "scopes": [scope.value for scope in Scope],
    }
    nobody: dict[str, Any] = {"role": "ANONYMOUS", "subject": None, "memberNumbers": [], "scopes": []}
    assert await viewer(Viewer(ANONYMOUS, is_operator=False)) == (nobody, 0)
    # An operator's own bookings, not everybody's.
    assert (await viewer(OWNER))[1] > 0 == (await viewer(OPERATOR))[1]


@pytest.mark.parametrize("root", [root for root in roots("Query", Whose.ASKERS) if root != "Query.viewer"])
async def test_a_list_holds_the_askers_own_alone(scene: Scene, root: str) -> None:
    name = root.partition(".")[2]
    found = {viewer.subject: await scene.ask(root, viewer) for viewer in (*OTHERS, OWNER, OPERATOR)}
    totals = {subject: answer.good[name]["totalCount"] for subject, answer in found.items()}

    assert totals["stranger"] == 0
    assert totals["other"] > 0
    assert totals["someone"] + totals["other"] == totals["operator"]
    assert scene.tells([found["stranger"], found["other"]]) == set()
    assert scene.tells(found["someone"]) == scene.tells(found["operator"]) != set()


async def test_a_booking_belongs_to_who_made_it(scene: Scene) -> None:
    def wish(**changes: Any) -> dict[str, Any]:
        people = [{"givenName": "John", "familyName": "Smith"}]
        return {"segments": [{"flightId": scene.api.flight_id()}], "passengers": people, **changes}

    root = "Mutation.bookFlight"
    begun = await scene.ask(root, OTHER, wish())
    reused = await scene.ask(root, OTHER, wish(correlationId=scene.saga.correlation_id))
    members = [await scene.ask(root, OTHER, wish(loyalty={"memberNumber": number})) for number in (ADA, "SS9999999")]

    it = begun.good["bookFlight"]["saga"]["correlationId"]
    for viewer in (STRANGER, OWNER):
        assert (await scene.ask("Query.saga", viewer, it)).good == {"saga": None}
    assert (await scene.ask("Query.saga", OTHER, it)).good["saga"]["correlationId"] == it
    # That an ID is taken is the one thing that another may learn.
    assert reused.good["bookFlight"]["saga"] is None
    assert [error["__typename"] for error in reused.good["bookFlight"]["errors"]] == ["CorrelationIdReusedError"]
    assert scene.tells([begun, reused, *members]) <= {scene.saga.correlation_id}
    refusals = [member.good["bookFlight"] for member in members]
    assert refusals[0]["errors"][0]["__typename"] == "MemberNotFoundError"
    assert json.dumps(refusals[0]).replace(ADA, "<it>") == json.dumps(refusals[1]).replace("SS9999999", "<it>")
    saga = await scene.api.world.engine.saga(it)
    assert saga is not None
    await scene.api.world.ended(saga)
