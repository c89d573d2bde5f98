"""Whoever bears a token that is right is let in; whatever is wrong with one, nobody is: over HTTP and on sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from app.http.auth import TOKEN_CHARACTERS_MAX, Caller, JwtAuthenticator
from app.http.jwks import REFETCH_SECONDS, KeySet
from schema.context import Scope
from tests.app.probe import probing
from tests.support.asking import bearer_of
from tests.support.identity import Issuer, SigningKey, claims, issuing, new_key
from tests.support.serving import Served
from tests.support.sockets import open_socket

SECRET: Final = "a secret of at least thirty-two bytes"
ADMIN_TOKEN: Final = "the operators' own token"
BEARER: Final = bearer_of(ADMIN_TOKEN)
ISSUER: Final = "https://id.example"
AUDIENCE: Final = "seatsaga"
ME: Final = {"query": "{ me }"}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Door:
    """A server behind tokens, and who signs them."""

    served: Served
    http: httpx.AsyncClient
    sign: Callable[..., str]

    async def ask(self, token: str | None) -> httpx.Response:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return await self.http.post("/graphql", json=ME, headers=headers)

    async def enters(self, token: str) -> str:
        """Who is let in with `token`: subject and whether an operator."""
        response = await self.ask(token)
        assert response.status_code == 200, response.text
        me: str = response.json()["data"]["me"]
        return me

    async def refuses(self, token: str) -> None:
        """A 401 over HTTP that tells nothing but that the token is not right; on a socket 4403."""
        response = await self.ask(token)
        assert response.status_code == 401, response.text
        assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert response.json() == {
            "errors": [{"message": "The token is not valid.", "extensions": {"code": "UNAUTHENTICATED"}}]
        }
        async with open_socket(self.served) as socket:
            await socket.send(type="connection_init", payload={"authorization": f"Bearer {token}"})
            if len(token) > 4_000:
                # Before the acknowledgement a message has at most 4 kB.
                assert await socket.closed() == 1009
                return
            assert await socket.closed() == 4403
            assert socket.connection.close_reason == "Forbidden: The token is not valid."


@asynccontextmanager
async def door(authenticate: JwtAuthenticator, sign: Callable[..., str]) -> AsyncIterator[Door]:
    async with probing(authenticate=authenticate) as (served, _), httpx.AsyncClient(base_url=served.url) as http:
        yield Door(served, http, sign)
    await authenticate.close()


def ours(**changes: Any) -> dict[str, Any]:
    """Claims as the server wants them, but for the changes."""
    return claims(iss=ISSUER, aud=AUDIENCE) | changes


def signed(**changes: Any) -> str:
    """A token by the shared secret."""
    wanted = {name: value for name, value in ours(**changes).items() if value is not None}
    return jwt.encode(wanted, SECRET, algorithm="HS256")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def secret_door() -> AsyncIterator[Door]:
    authenticate = JwtAuthenticator(
        admin_token=ADMIN_TOKEN, secret=SECRET, issuer=ISSUER, audience=AUDIENCE, leeway_seconds=10
    )
    async with door(authenticate, signed) as opened:
        yield opened


# ---------------------------------------------------------------------- who is let in


async def test_a_token_names_who_asks(secret_door: Door) -> None:
    assert await secret_door.enters(signed(sub="ada")) == "ada False"
    assert await secret_door.enters(signed(sub="grace", role="operator")) == "grace True"
    assert await secret_door.enters(signed(sub="ada", role="Operator")) == "ada False"
    assert await secret_door.enters(signed(aud=["another", AUDIENCE])) == "ada False"
    assert await secret_door.enters(ADMIN_TOKEN) == f"{BEARER} True"


@pytest.mark.parametrize(
    ("claim", "trusted"), [(True, True), (False, False), ("true", False), (1, False), ([True], False), (None, False)]
)
async def test_a_caller_is_trusted_by_a_claim_that_is_true_and_nothing_like_it(claim: object, trusted: bool) -> None:
    authenticate = JwtAuthenticator(admin_token=None, secret=SECRET, issuer=ISSUER, audience=AUDIENCE)

    caller = await authenticate(signed(trusted=claim))

    assert isinstance(caller, Caller)
    assert (caller.viewer.is_trusted, caller.viewer.is_operator) == (trusted, False)


@pytest.mark.parametrize(
    ("claim", "granted"),
    [
        ("sagas:read", {Scope.SAGAS_READ}),
        ("openid sagas:read profile jobs:write sagas:read", {Scope.SAGAS_READ, Scope.JOBS_WRITE}),
        ("openid profile", set()),
        ("", set()),
        (" ", set()),
        ("SAGAS:READ sagas:Mend", set()),
        # RFC 8693 separates by a space and nothing else.
        ("sagas:read\tsagas:mend", set()),
        ("sagas:read\u00a0sagas:mend", set()),
        ("sagas:read,sagas:mend", set()),
        ("sagas:read\u200b", set()),
        ("\uff53agas:read", set()),
        ("sagas:* *", set()),
        ("x" * 3_000 + " people:read", {Scope.PEOPLE_READ}),
        ("people:read " * 300, {Scope.PEOPLE_READ}),
        # A claim of another shape limits to nothing: it was meant to limit.
        (["sagas:read", "sagas:mend"], set()),
        ({"sagas:read": True}, set()),
        (True, set()),
        (None, set()),
        (7, set()),
    ],
    ids=range(19),
)
async def test_an_operator_is_limited_to_the_scopes_that_the_token_names(claim: object, granted: set[Scope]) -> None:
    authenticate = JwtAuthenticator(admin_token=None, secret=SECRET)
    limited = jwt.encode(claims(role="operator") | {"scope": claim}, SECRET, algorithm="HS256")
    plain = jwt.encode(claims() | {"scope": claim}, SECRET, algorithm="HS256")
    unlimited = jwt.encode(claims(role="operator"), SECRET, algorithm="HS256")

    async def scopes(token: str) -> frozenset[Scope]:
        caller = await authenticate(token)
        assert isinstance(caller, Caller)
        return caller.viewer.scopes

    assert await scopes(limited) == granted
    assert await scopes(unlimited) == frozenset(Scope)
    # Without the operator role no scope grants anything.
    assert await scopes(plain) == frozenset()


async def test_clocks_may_differ_by_the_leeway(secret_door: Door) -> None:
    for changes in ({"exp": now() - 5}, {"nbf": now() + 5}, {"iat": now() + 5}):
        assert await secret_door.enters(signed(**changes)) == "ada False"


async def test_without_a_token_a_challenge_says_that_one_is_needed(secret_door: Door) -> None:
    response = await secret_door.ask(None)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["errors"][0]["message"] == "A bearer token is needed."
    async with open_socket(secret_door.served) as socket:
        await socket.send(type="connection_init")
        assert await socket.closed() == 4403


async def test_a_claim_makes_a_member() -> None:
    authenticate = JwtAuthenticator(admin_token=None, secret=SECRET)
    async with probing(authenticate=authenticate) as (served, witness), httpx.AsyncClient(base_url=served.url) as http:
        for member in ("SS0000001", 7, ["SS0000001"]):
            headers = {"authorization": f"Bearer {jwt.encode(claims(member=member), SECRET, algorithm='HS256')}"}
            assert (await http.post("/graphql", json=ME, headers=headers)).status_code == 200
    assert [context.viewer.member_number for context in witness.contexts] == ["SS0000001", None, None]


# ---------------------------------------------------------------------- who is not


def by_hand(header: dict[str, Any], payload: dict[str, Any] | bytes, key: bytes = SECRET.encode()) -> str:
    """A token that no library would sign: HMAC of whatever header and payload."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    text = b".".join(base64url_encode(part) for part in (json.dumps(header).encode(), body))
    return (text + b"." + base64url_encode(hmac.digest(key, text, hashlib.sha256))).decode()


def altered(token: str) -> str:
    """The token with another subject, under its old signature."""
    header, payload, signature = token.split(".")
    found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    found["sub"] = "somebody else"
    return ".".join((header, base64url_encode(json.dumps(found).encode()).decode(), signature))


def now() -> int:
    return int(time.time())


HS256: Final = {"alg": "HS256", "typ": "JWT"}
#: Each is made when it is sent, so that nothing is wrong with it but what its name says.
WRONG: Final[dict[str, Callable[[], str]]] = {
    "expired": lambda: signed(exp=now() - 60),
    "not yet valid": lambda: signed(nbf=now() + 3_600),
    "issued in the future": lambda: signed(iat=now() + 3_600),
    "another audience": lambda: signed(aud="another"),
    "other audiences": lambda: signed(aud=["another", "one more"]),
    "no audience": lambda: signed(aud=None),
    "an audience that is no text": lambda: by_hand(HS256, ours(aud={"seatsaga": True})),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "no issuer": lambda: signed(iss=None),
    "an issuer that is no text": lambda: by_hand(HS256, ours(iss=[ISSUER])),
    "another secret": lambda: jwt.encode(ours(), SECRET[::-1], algorithm="HS256"),
    "no subject": lambda: signed(sub=None),
    "an empty subject": lambda: signed(sub=""),
    "a subject that is no text": lambda: by_hand(HS256, ours(sub=7)),
    "a subject that no database takes": lambda: signed(sub="a\0b"),
    "a subject with half a character": lambda: by_hand(HS256, ours(sub="\ud800")),
    "a subject without end": lambda: signed(sub="a" * 256),
    "our operators' subject of before": lambda: signed(sub="operator"),
    "our operators' subject": lambda: signed(sub=BEARER),
    "the subject of an earlier admin token": lambda: signed(sub="admin-token:01234567"),
    "the subject of a command": lambda: signed(sub="command-line:root"),
    "our anonymous subject": lambda: signed(sub="anonymous"),
    "no expiry": lambda: signed(exp=None),
    "an expiry that is no number": lambda: by_hand(HS256, ours(exp="tomorrow")),
    "an expiry that never comes": lambda: by_hand(HS256, ours(exp=float("nan"))),
    "none": lambda: jwt.encode(ours(), "", algorithm="none"),
    "none in capitals": lambda: by_hand({"alg": "NONE"}, ours()),
    "none with a signature": lambda: by_hand({"alg": "none"}, ours()),
    "no algorithm": lambda: by_hand({"typ": "JWT"}, ours()),
    "an algorithm that is no text": lambda: by_hand({"alg": ["HS256"]}, ours()),
    "another algorithm": lambda: jwt.encode(ours(), SECRET + SECRET, algorithm="HS512"),
    "another algorithm by the secret": lambda: by_hand({"alg": "HS384"}, ours()),
    "an asymmetric algorithm": lambda: new_key(algorithm="RS256").sign(ours()),
    "an extension that is critical": lambda: by_hand({**HS256, "crit": ["seen"], "seen": 1}, ours()),
    "altered": lambda: altered(signed()),
    "without its signature": lambda: signed().rpartition(".")[0] + ".",
    "cut short": lambda: signed()[:-1],
    "a payload that is no object": lambda: by_hand(HS256, b"[]"),
    "a payload that is no JSON": lambda: by_hand(HS256, b"{"),
    "a payload without end": lambda: by_hand(HS256, b"[" * 2_000),
    "malformed": lambda: "not.a.token",
    "two parts": lambda: "a.b",
    "five parts": lambda: "a.b.c.d.e",
    "dots": lambda: "..",
    "longer than any": lambda: signed(padding="x" * TOKEN_CHARACTERS_MAX),
    "the admin token but for a letter": lambda: ADMIN_TOKEN[:-1] + "m",
}


@pytest.mark.parametrize("what", sorted(WRONG))
async def test_a_token_that_is_wrong_lets_nobody_in(secret_door: Door, what: str) -> None:
    await secret_door.refuses(WRONG[what]())


async def test_a_token_of_other_letters_lets_nobody_in(secret_door: Door) -> None:
    # A header holds them as bytes, a frame as they are, and half a character only escaped.
    headers = {b"authorization": "Bearer tökén".encode()}
    assert (await secret_door.http.post("/graphql", json=ME, headers=headers)).status_code == 401
    for token in ("tökén", "\ud800"):
        async with open_socket(secret_door.served) as socket:
            await socket.send(type="connection_init", payload={"token": token})
            assert await socket.closed() in (4400, 4403)


@pytest.mark.parametrize("header", ["Basic YWRhOmFkYQ==", "Bearer", "bearer", "Token x"])
async def test_a_header_that_bears_no_token_is_told_how_to(secret_door: Door, header: str) -> None:
    response = await secret_door.http.post("/graphql", json=ME, headers={"authorization": header})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert "Bearer <token>" in response.json()["errors"][0]["message"]


async def test_the_longest_token_that_may_be_is_taken(secret_door: Door) -> None:
    """The one that is refused for its length is refused for nothing else."""
    spare = TOKEN_CHARACTERS_MAX - len(signed(padding=""))
    longest = signed(padding="x" * (spare * 3 // 4 - 4))

    assert TOKEN_CHARACTERS_MAX - 16 < len(longest) <= TOKEN_CHARACTERS_MAX
    assert await secret_door.enters(longest) == "ada False"


# ---------------------------------------------------------------------- signed by an issuer


@dataclass(frozen=True)
class Outside:
    """A server that takes an issuer's tokens, and the issuer."""

    door: Door
    issuer: Issuer


@asynccontextmanager
async def outside(*keys: SigningKey) -> AsyncIterator[Outside]:
    async with issuing(*keys) as issuer:
        authenticate = JwtAuthenticator(
            admin_token=ADMIN_TOKEN,
            key_set=KeySet(issuer.url, now=issuer.now),
            issuer=ISSUER,
            audience=AUDIENCE,
        )
        async with door(authenticate, keys[0].sign) as opened:
            yield Outside(opened, issuer)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_an_issuers_token_names_who_asks(algorithm: str) -> None:
    key = new_key("one", algorithm)
    async with outside(key) as place:
        assert await place.door.enters(key.sign(ours())) == "ada False"
        assert await place.door.enters(key.sign(ours(role="operator"))) == "ada True"
        async with open_socket(place.door.served) as socket:
            await socket.initialise({"token": key.sign(ours())})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_that_the_issuer_has_not_signed_lets_nobody_in(algorithm: str) -> None:
    key, foreign = new_key("one", algorithm), new_key("one", "ES256")
    public = key.private.public_key()
    async with outside(key, new_key("two", "ES256")) as place:
        header = {"alg": "HS256", "kid": "one"}
        # What is known to all must not be taken for a secret.
        known = [public.public_bytes(form, PublicFormat.SubjectPublicKeyInfo) for form in (Encoding.PEM, Encoding.DER)]
        for secret in (*known, json.dumps(key.published).encode(), b""):
            await place.door.refuses(by_hand(header, ours(), secret))
        await place.door.refuses(jwt.encode(ours(), "", algorithm="none", headers={"kid": "one"}))
        await place.door.refuses(foreign.sign(ours()))
        # Signed by a key of the issuer's, under the id of another.
        await place.door.refuses(key.sign(ours(), key_id="two"))
        await place.door.refuses(key.sign(ours(), key_id="unheard of"))
        await place.door.refuses(key.sign(ours(exp=now() - 60)))
        await place.door.refuses(altered(key.sign(ours())))
        assert await place.door.enters(key.sign(ours())) == "ada False"


async def test_a_token_may_not_bring_its_own_key() -> None:
    mine = new_key("mine")
    async with issuing(mine) as evil, outside(new_key("one")) as place:
        for brought in ({"jwk": mine.published}, {"jku": evil.url}, {"x5u": evil.url}):
            await place.door.refuses(
                jwt.encode(ours(), mine.private, algorithm="ES256", headers={"kid": "mine", **brought})
            )
            await place.door.refuses(jwt.encode(ours(), mine.private, algorithm="ES256", headers=brought))
        assert evil.asked == 0


async def test_a_token_signed_with_a_new_key_is_taken_and_one_of_a_withdrawn_key_no_more() -> None:
    old, new = new_key("old"), new_key("new", "RS256")
    async with outside(old) as place:
        assert await place.door.enters(old.sign(ours())) == "ada False"
        place.issuer.keys[:] = [new]
        place.issuer.seconds += REFETCH_SECONDS

        assert await place.door.enters(new.sign(ours())) == "ada False"
        await place.door.refuses(old.sign(ours()))


async def test_while_the_issuer_is_away_and_no_key_is_known_callers_are_asked_to_come_back() -> None:
    key = new_key("one")
    async with outside(key) as place:
        place.issuer.status = 500

        response = await place.door.ask(key.sign(ours()))

        assert response.status_code == 503
        assert response.headers["retry-after"] == "10"
        assert "www-authenticate" not in response.headers
        assert response.json()["errors"][0]["extensions"] == {"code": "UNAVAILABLE"}
        async with open_socket(place.door.served) as socket:
            await socket.send(type="connection_init", payload={"token": key.sign(ours())})
            assert await socket.closed() == 1013
        # Who needs no issuer is let in, and what cannot be a token is not worth asking for.
        assert await place.door.enters(ADMIN_TOKEN) == f"{BEARER} True"
        await place.door.refuses("nonsense")
        assert (await place.door.ask(None)).status_code == 401

        place.issuer.status = 200
        place.issuer.seconds += REFETCH_SECONDS
        assert await place.door.enters(key.sign(ours())) == "ada False"


async def test_a_caller_is_proven_for_as_long_as_the_token_and_the_leeway() -> None:
    authenticate = JwtAuthenticator(admin_token=None, secret=SECRET, leeway_seconds=30)
    for exp, until in ((now() + 60, now() + 90), (10**400, 253_402_300_799 + 30)):
        found = await authenticate(by_hand(HS256, claims(exp=exp)))
        assert isinstance(found, Caller)
        assert found.expires_at in (until, until + 1)
