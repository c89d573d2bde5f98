"""Whoever has not said what it wants has a place only as long as nobody else needs it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.http.places import OPERATORS_MAX, Places
from app.http.room import FREE_BYTES, Budget, FrameQueue, Lobby, Room, network_of
from schema.context import Viewer
from tests.app.probe import probing
from tests.app.test_connections import connected
from tests.support.children import environment, serving_child
from tests.support.raw import handshake, masked
from tests.support.sockets import open_socket
from tests.support.waiting import eventually

ADA: Final = Viewer("ada", is_operator=False, member_number=None)
NOBODY: Final = Viewer("anonymous", is_operator=False, member_number=None)
OPERATOR: Final = Viewer("operator", is_operator=True, member_number=None)


# ---------------------------------------------------------------------- the parts


def test_a_lobby_displaces_the_oldest_of_the_network_that_has_most() -> None:
    lobby, gone = Lobby(4), list[str]()
    for member, network in (("a", "x"), ("b", "y"), ("c", "y"), ("d", "x"), ("e", "y"), ("f", "y"), ("g", "z")):
        lobby.enter(member, network, partial(gone.append, member))
    assert gone == ["b", "c", "a"]
    assert (len(lobby), lobby.displaced) == (4, 3)


def test_who_leaves_a_lobby_or_comes_twice_is_counted_once() -> None:
    lobby, gone = Lobby(2), list[str]()
    for member in ("a", "a", "b"):
        lobby.enter(member, "x", partial(gone.append, member))
    for member in ("a", "a", "c"):
        lobby.leave(member, "x")
    lobby.enter("d", "x", partial(gone.append, "d"))
    assert (len(lobby), gone) == (2, [])


def test_a_budget_displaces_who_began_first_and_counts_no_free_bytes() -> None:
    budget, gone = Budget(1_000), list[str]()

    def hold(holder: str, size: int) -> None:
        budget.hold(holder, size, partial(gone.append, holder))

    for holder in "abcdefgh":
        hold(holder, FREE_BYTES)
    hold("a", FREE_BYTES + 400)
    hold("b", FREE_BYTES + 400)
    hold("a", FREE_BYTES + 500)
    assert gone == []
    hold("c", FREE_BYTES + 400)
    assert gone == ["a"], "although it held more before"
    budget.release("b")
    budget.release("b")
    hold("d", FREE_BYTES + 600)
    hold("c", 0)
    hold("e", FREE_BYTES + 400)
    assert gone == ["a"]


async def test_a_queue_lets_one_member_continue_a_turn_of_the_loop() -> None:
    queue, took = FrameQueue(), list[str]()
    for member in "abc":
        queue.wait(member, partial(took.append, member))
    queue.leave("b")
    for expected in (["a"], ["a", "c"]):
        await asyncio.sleep(0)
        assert took == expected
    assert not queue.is_busy


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unknown", "unknown"),
    ],
)
def test_a_machine_is_counted_by_what_it_can_choose_from(address: str, network: str) -> None:
    assert network_of(address) == network


def test_places_are_given_back_and_operators_have_more() -> None:
    places = Places(10)
    sockets = [places.take_for_socket(ADA, "x") for _ in range(9)]
    assert isinstance(places.take_for_socket(ADA, "x"), str)
    last = places.take()
    assert last is not None
    assert places.take() is None
    kept = [places.take_as_operator() for _ in range(OPERATORS_MAX)]
    assert None not in kept
    assert places.take_as_operator() is None
    assert isinstance(places.take_for_socket(OPERATOR, "x"), str)
    for leave in (*sockets, last, *kept):
        assert callable(leave)
        leave()
    assert all(places.take() for _ in range(10))


def test_the_anonymous_are_told_apart_by_their_network() -> None:
    places = Places(10, sockets_per_caller_max=1)
    assert callable(places.take_for_socket(NOBODY, "x"))
    assert callable(places.take_for_socket(NOBODY, "y"))
    assert isinstance(places.take_for_socket(NOBODY, "x"), str)
    assert callable(places.take_for_socket(ADA, "x"))
    assert isinstance(places.take_for_socket(ADA, "y"), str)


# ---------------------------------------------------------------------- on a server


async def test_a_socket_that_says_nothing_makes_way_for_the_next() -> None:
    places = Places(opening=Lobby(3))
    async with probing(places=places) as (served, _), AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(open_socket(served)) for _ in range(6)]
        for socket in silent[:3]:
            assert await socket.closed() == 1013
        for socket in silent[3:]:
            await socket.initialise()
        assert (len(places.opening), places.opening.displaced) == (0, 3)


async def test_what_is_about_to_end_makes_way_too() -> None:
    """A client that neither answers a close nor goes keeps a file of ours open, and nothing is served to it."""
    room = Room(idle=Lobby(5))
    async with probing(room=room) as (served, _), AsyncExitStack() as stack:
        for number in range(12):
            closing = await stack.enter_async_context(connected(served.port))
            await closing.send(handshake())
            await closing.reader.readuntil(b"\r\n\r\n")
            await closing.send(b"\x83\x80mask" if number % 2 else masked({"type": "no such"}))
            # The close has come, and is not answered.
            await closing.reader.readexactly(2)
        await eventually(lambda: room.idle.displaced == 7)
        assert len(served.server.server_state.connections) <= 6


async def test_heads_that_are_not_complete_take_up_no_more_than_their_budget() -> None:
    room = Room(heads=Budget(100_000))
    begun = b"GET / HTTP/1.1\r\nX-A: " + b"x" * 40_000
    async with probing(room=room) as (served, _), AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(connected(served.port)) for _ in range(4)]
        for connection in connections:
            await connection.send(begun)
        for connection in connections[:2]:
            assert await connection.is_closed()
        assert room.heads.displaced == 2


async def test_forty_silent_sockets_do_not_fill_a_server_of_forty(tmp_path: Path) -> None:
    env = environment(tmp_path, requests_active_max="40", sockets_opening_max="40", socket_init_seconds="60")
    async with serving_child(tmp_path, env) as child, AsyncExitStack() as stack:
        for _ in range(120):
            silent = await stack.enter_async_context(connected(child.port))
            await silent.send(handshake())
        async with httpx.AsyncClient(base_url=child.url) as http:
            for _ in range(5):
                assert (await http.get("/graphql?query={__typename}")).status_code == 200
        async with connected(child.port) as newcomer:
            await newcomer.send(handshake() + masked({"type": "connection_init"}))
            await newcomer.reader.readuntil(b"connection_ack")
