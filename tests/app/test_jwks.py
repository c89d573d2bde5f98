"""An issuer's keys: fetched when they are needed, kept while they may be, and never asked for without end."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jwt import PyJWK

from app.http.jwks import FRESH_SECONDS, KEPT_SECONDS, REFETCH_SECONDS, SET_BYTES_MAX, KeySet, KeysUnavailable
from tests.support.identity import Issuer, SigningKey, issuing, new_key
from tests.support.waiting import eventually


@asynccontextmanager
async def following(*keys: SigningKey, fetch_seconds_max: float = 60.0) -> AsyncIterator[tuple[Issuer, KeySet]]:
    """An issuer, and its key set as we keep it."""
    async with issuing(*keys) as issuer:
        key_set = KeySet(issuer.url, now=issuer.now, fetch_seconds_max=fetch_seconds_max)
        try:
            yield issuer, key_set
        finally:
            issuer.gate.set()
            await key_set.close()


def id_of(found: PyJWK | KeysUnavailable | None) -> str | None:
    assert isinstance(found, PyJWK), found
    return found.key_id


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_key_is_found_by_its_id_with_the_algorithm_of_its_kind(algorithm: str) -> None:
    async with following(new_key("one", algorithm), new_key("two")) as (issuer, key_set):
        found = await key_set.find("one")

        assert isinstance(found, PyJWK)
        assert (found.key_id, found.algorithm_name) == ("one", algorithm)
        assert issuer.asked == 1


async def test_a_token_that_names_no_key_means_the_only_one() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        assert id_of(await key_set.find(None)) == "one"
        issuer.keys.append(new_key("two"))
        issuer.seconds += REFETCH_SECONDS
        assert id_of(await key_set.find("two")) == "two"
        assert await key_set.find(None) is None


# ---------------------------------------------------------------------- rotation


async def test_a_new_key_is_fetched_when_a_token_names_it() -> None:
    async with following(new_key("old")) as (issuer, key_set):
        await key_set.find("old")
        issuer.keys[:] = [new_key("new")]
        issuer.seconds += REFETCH_SECONDS

        assert id_of(await key_set.find("new")) == "new"
        assert await key_set.find("old") is None
        assert issuer.asked == 2


async def test_key_ids_that_are_made_up_do_not_hurry_the_issuer_and_are_answered_at_once() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        await key_set.find("one")
        issuer.gate.clear()

        for number in range(1_000):
            assert await key_set.find(f"made up {number}") is None
        assert issuer.asked == 1
        assert id_of(await key_set.find("one")) == "one"


async def test_all_who_wait_share_one_fetch_and_others_do_not_wait() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        await key_set.find("one")
        issuer.keys.append(new_key("two"))
        issuer.seconds += REFETCH_SECONDS
        issuer.gate.clear()
        waiting = [asyncio.create_task(key_set.find(key_id)) for key_id in ("two", "made up", "two")]
        await eventually(lambda: issuer.asked == 2)

        assert id_of(await key_set.find("one")) == "one"
        issuer.gate.set()
        first, made_up, second = await asyncio.gather(*waiting)
        assert (id_of(first), made_up, id_of(second)) == ("two", None, "two")
        assert issuer.asked == 2


async def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        issuer.gate.clear()
        hasty, patient = (asyncio.create_task(key_set.find("one")) for _ in range(2))
        await eventually(lambda: issuer.asked == 1)
        hasty.cancel()
        await asyncio.gather(hasty, return_exceptions=True)
        issuer.gate.set()

        assert id_of(await patient) == "one"


# ---------------------------------------------------------------------- what is kept


async def test_old_keys_serve_on_while_the_set_is_fetched_anew() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        await key_set.find("one")
        issuer.seconds += FRESH_SECONDS - 1
        await key_set.find("one")
        assert issuer.asked == 1

        issuer.seconds += 1
        issuer.gate.clear()
        assert id_of(await key_set.find("one")) == "one"
        await eventually(lambda: issuer.asked == 2)
        issuer.keys[:] = [new_key("two")]
        issuer.gate.set()
        await eventually(lambda: _gone(key_set, "one"))


async def _gone(key_set: KeySet, key_id: str) -> bool:
    return await key_set.find(key_id) is None


async def test_keys_are_kept_for_an_hour_while_the_issuer_is_away() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        await key_set.find("one")
        issuer.status = 500
        issuer.seconds += KEPT_SECONDS - 1
        assert id_of(await key_set.find("one")) == "one"
        await eventually(lambda: issuer.asked == 2)
        # The issuer may have a new key; nobody can say.
        assert await key_set.find("new") == KeysUnavailable(int(REFETCH_SECONDS))

        issuer.seconds += 1
        assert await key_set.find("one") == KeysUnavailable(int(REFETCH_SECONDS))
        issuer.status = 200
        issuer.seconds += REFETCH_SECONDS
        assert id_of(await key_set.find("one")) == "one"


async def test_an_issuer_that_is_away_from_the_start_is_asked_again_after_a_while_only() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        issuer.status = 503
        for _ in range(100):
            assert await key_set.find("one") == KeysUnavailable(int(REFETCH_SECONDS))
        assert issuer.asked == 1

        issuer.status = 200
        issuer.seconds += REFETCH_SECONDS
        assert id_of(await key_set.find("one")) == "one"


async def test_nobody_at_the_address_is_an_issuer_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    key_set = KeySet("http://127.0.0.1:1/jwks?client_secret=hunter2")
    try:
        with caplog.at_level(logging.WARNING):
            assert isinstance(await key_set.find("one"), KeysUnavailable)
    finally:
        await key_set.close()
    assert "The key set of 127.0.0.1 could not be fetched: ConnectError." in caplog.text
    assert "hunter2" not in caplog.text


async def test_an_issuer_that_never_answers_is_given_up() -> None:
    async with following(new_key("one"), fetch_seconds_max=0.1) as (issuer, key_set):
        issuer.gate.clear()
        assert isinstance(await key_set.find("one"), KeysUnavailable)


async def test_a_set_that_is_closed_waits_for_nobody() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        issuer.gate.clear()
        key_set.refresh()
        await eventually(lambda: issuer.asked == 1)
        async with asyncio.timeout(20):
            await key_set.close()


# ---------------------------------------------------------------------- what is no key set


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it has no list of keys"),
        (b'{"keys": {}}', "it has no list of keys"),
        (b'{"keys": []}', "it has no key for"),
        (b'{"keys": [1, null, {}, {"kty": []}, {"kty": "RSA", "kid": 7}]}', "it has no key for"),
        (b" " * (SET_BYTES_MAX + 1), "it is larger than"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
async def test_what_is_no_key_set_changes_nothing(body: bytes, why: str, caplog: pytest.LogCaptureFixture) -> None:
    async with following(new_key("one")) as (issuer, key_set):
        await key_set.find("one")
        issuer.body = body
        issuer.seconds += REFETCH_SECONDS

        assert isinstance(await key_set.find("two"), KeysUnavailable)
        assert id_of(await key_set.find("one")) == "one"
        assert re.search(f"could not be fetched: {why}", caplog.text)


async def test_an_address_that_leads_elsewhere_is_not_followed() -> None:
    async with following(new_key("one")) as (issuer, key_set):
        issuer.status = 302
        assert isinstance(await key_set.find("one"), KeysUnavailable)


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
        {"use": "enc"},
        {"alg": "ES384"},
        {"alg": "HS256"},
        {"crv": "P-384"},
        {"x": "AAAA"},
        {"x": 7},
        {"kid": ["bad"]},
    ],
    ids=str,
)
async def test_a_key_that_cannot_verify_our_tokens_is_passed_over(changes: dict[str, Any]) -> None:
    good = new_key("good")
    async with following(good) as (issuer, key_set):
        bad = {**new_key("bad").published, **changes}
        issuer.body = json.dumps({"keys": [bad, good.published]}).encode()

        assert id_of(await key_set.find("good")) == "good"
        assert await key_set.find("bad") is None


async def test_an_rsa_key_that_is_too_short_is_passed_over() -> None:
    async with following(new_key("good"), new_key("short", "RS256", bits=1024)) as (_, key_set):
        assert id_of(await key_set.find("good")) == "good"
        assert await key_set.find("short") is None
