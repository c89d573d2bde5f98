"""Every field of the API by every scope: an operator reaches what the token's scopes name, and nothing more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from schema.context import Scope, Viewer
from schema.loaders import HIDDEN
from tests.domain.bookings.world import ADA
from tests.schema.access_rules import ROOTS, SCOPES, Whose
from tests.schema.api import OPERATOR, OTHER, OWNER
from tests.schema.test_access_matrix import Scene, nodes, roots, setting
from tests.support.statements import statements

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Mutations that customers have as well.
FOR_CUSTOMERS: Final = roots("Mutation", Whose.OWNERS)
OPERATORS: Final = [root for root, whose in ROOTS.items() if whose is Whose.OPERATORS]


def limited(*scopes: Scope, subject: str = "grace") -> Viewer:
    """An operator whose token names these scopes."""
    return Viewer(subject, is_operator=True, granted=frozenset(scopes))


#: With one scope, with all but one, with none.
LIMITED: Final = [
    *(limited(scope) for scope in Scope),
    *(limited(*(other for other in Scope if other is not scope)) for scope in Scope),
    limited(),
]
#: A token may name what it likes: without the operator role it is a customer's.
PRETENDER: Final = Viewer("mallory", is_operator=False, granted=frozenset(Scope))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def still(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """What the owner has, where nothing goes on."""
    async with setting(sqlite_template, tmp_path_factory.mktemp("scopes")) as scene:
        await scene.api.world.engine.runner.stop()
        yield scene


def named(viewer: Viewer) -> str:
    return " ".join(sorted(viewer.scopes)) or "none"


async def test_every_root_says_which_scopes_it_needs() -> None:
    assert set(SCOPES) == set(ROOTS)
    for root in OPERATORS:
        assert SCOPES[root], root


# ---------------------------------------------------------------------- operators' fields


@pytest.mark.parametrize("root", OPERATORS)
async def test_an_operators_field_needs_its_scope_and_no_other(still: Scene, root: str) -> None:
    needed, name = SCOPES[root], root.partition(".")[2]
    for viewer in (*LIMITED, PRETENDER):
        if root.startswith("Subscription.") and viewer.may(*needed):
            # Followed for as long as one likes: see the owner's and the wire's tests.
            continue
        with statements(still.api.world.database) as asked:
            if root.startswith("Subscription."):
                (answer,) = await still.follow(root, viewer, still.theirs.get(root))
            else:
                answer = await still.ask(root, viewer, still.theirs.get(root))
        if viewer.may(*needed):
            assert answer.good[name] is not None, named(viewer)
        else:
            assert answer.code == "FORBIDDEN", named(viewer)
            assert answer.errors[0].extensions["scopes"] == list(needed)
            assert all(scope in answer.errors[0].message for scope in needed)
            assert asked == []


# ---------------------------------------------------------------------- what is the owner's

READ: Final = [
    *(f"Query.node {kind}" for kind in nodes(Whose.OWNERS, Whose.OPERATORS)),
    *(root for root in roots("Query", Whose.OWNERS) if root != "Query.node"),
]


@pytest.mark.parametrize("name", READ)
async def test_what_is_anothers_is_there_for_the_scope_that_reads_and_for_no_other(still: Scene, name: str) -> None:
    nothing = await still.ask(name, OTHER, still.nothing[name])
    for viewer in LIMITED:
        found = await still.ask(name, viewer, still.theirs[name])
        if viewer.may(Scope.SAGAS_READ):
            assert list(found.good.values()) != [None], named(viewer)
        else:
            assert found == nothing, named(viewer)
            assert still.tells(found) == set()
    assert await still.ask(name, PRETENDER, still.theirs[name]) == nothing


@pytest.mark.parametrize("root", roots("Subscription", Whose.OWNERS))
async def test_what_is_anothers_is_followed_by_the_scope_that_reads_and_by_no_other(still: Scene, root: str) -> None:
    it = still.theirs[root]
    for viewer in (*LIMITED, PRETENDER):
        frames = await still.follow(root, viewer, it)
        if viewer.may(Scope.SAGAS_READ):
            assert all(frame.good for frame in frames)
        else:
            assert [frame.code for frame in frames] == ["NOT_FOUND"]
            assert still.tells(frames) <= {it}


@pytest.mark.parametrize("root", [root for root in roots("Query", Whose.ASKERS) if root != "Query.viewer"])
async def test_a_list_holds_all_for_the_scope_that_reads_and_else_ones_own(still: Scene, root: str) -> None:
    name = root.partition(".")[2]
    everything = (await still.ask(root, OPERATOR)).good[name]["totalCount"]
    for viewer in (*LIMITED, PRETENDER):
        found = await still.ask(root, viewer)
        assert found.good[name]["totalCount"] == (everything if viewer.may(Scope.SAGAS_READ) else 0)
        assert viewer.may(Scope.SAGAS_READ) or still.tells(found) == set()


async def test_an_operator_without_scopes_has_what_a_customer_of_that_subject_has(still: Scene) -> None:
    same = Viewer(OWNER.subject, is_operator=True, member_number=OWNER.member_number, granted=frozenset())
    for name in READ:
        assert await still.ask(name, same, still.theirs[name]) == await still.ask(name, OWNER, still.theirs[name])


@pytest.mark.parametrize("root", FOR_CUSTOMERS)
async def test_a_customers_mutation_needs_the_scope_that_mends_where_it_is_for_another(still: Scene, root: str) -> None:
    name = root.partition(".")[2]
    nothing = await still.ask(root, OTHER, still.nothing[root])
    for viewer in (*LIMITED, PRETENDER):
        # Where it is read as well, cancelBooking begins: that is the last test's.
        if viewer.may(Scope.SAGAS_MEND):
            continue
        answer = await still.ask(root, viewer, still.theirs[root])
        if viewer.may(Scope.SAGAS_READ):
            assert (answer.code, answer.errors[0].path) == ("FORBIDDEN", (name,))
            assert answer.errors[0].extensions["scopes"] == ["sagas:mend"]
            # What is not there is not there.
            assert await still.ask(root, viewer, still.nothing[root]) == nothing
        else:
            assert answer == nothing


async def test_who_mends_without_reading_is_not_shown_what_is_mended(still: Scene) -> None:
    mends = limited(Scope.SAGAS_MEND)
    refused = await still.ask("Mutation.cancelSaga", mends, still.saga.correlation_id)
    (error,) = refused.good["cancelSaga"]["errors"]
    assert (error["__typename"], error["booking"]) == ("TooLateToCancelError", None)
    assert still.tells(refused) == set()

    mine = await still.ask("Mutation.payForHold", mends, still.saga.correlation_id)
    assert [error["__typename"] for error in mine.good["payForHold"]["errors"]] == ["NothingToPayError"]

    begun = await still.ask("Mutation.cancelBooking", mends, still.theirs["Query.booking"])
    assert begun.good["cancelBooking"] == {"saga": None, "errors": []}
    sagas = await still.api.read("{ sagas(first: 1) { edges { node { definition } } } }", OWNER)
    assert sagas["sagas"]["edges"][0]["node"] == {"definition": "CANCEL_BOOKING"}


# ---------------------------------------------------------------------- names


async def test_names_need_a_scope_of_their_own(still: Scene) -> None:
    account = await still.api.read(f'{{ loyaltyAccount(memberNumber: "{ADA}") {{ name }} }}', OWNER)
    names = {"Augusta", "Byron-Lovelace", "1915-12-10", account["loyaltyAccount"]["name"]}
    reads, sees = limited(Scope.SAGAS_READ), limited(Scope.SAGAS_READ, Scope.PEOPLE_READ)
    seen: set[str] = set()
    for name in (*READ, "Query.sagas", "Query.bookings", "Query.seatReservations"):
        shown = {word for word in names if word in repr(await still.ask(name, sees, still.theirs.get(name)))}
        hidden = repr(await still.ask(name, reads, still.theirs.get(name)))
        assert {word for word in names if word in hidden} == set(), name
        assert not shown or f"'{HIDDEN}'" in hidden, name
        seen |= shown
    assert seen == names
    # Also where a list is of what a text names.
    asked = """query($it: String!) { search(text: $it) {
      ... on LoyaltyAccount { name } ... on Booking { passengers { givenName familyName dateOfBirth } } } }"""
    for text in (ADA, "byron-lovelace", still.theirs["Query.booking"]):
        without, with_names = [repr(await still.api.read(asked, viewer, it=text)) for viewer in (reads, sees)]
        assert {word for word in names if word in without} == set(), text
        assert {word for word in names if word in with_names}, text
