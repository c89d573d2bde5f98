"""Authentication: turns a bearer token into a viewer, the same over HTTP and WebSocket.

Under auth `none` every caller is the one anonymous subject, and the admin token makes an operator.
Under `jwt` the token names the subject; the admin token still makes an operator. An invalid
token is refused; it is never treated as a missing one.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
from starlette.requests import Request
from starlette.responses import Response

from app.http.answers import problem
from app.http.jwks import KeySet, KeysUnavailable
from app.http.request_id import note_of
from domain.actors import ADMIN_TOKEN, ANONYMOUS, COMMAND_LINE
from schema.context import Scope, Viewer

__all__ = [
    "GUEST",
    "OUR_SUBJECTS",
    "TOKEN_CHARACTERS_MAX",
    "Authenticator",
    "Caller",
    "JwtAuthenticator",
    "OpenAuthenticator",
    "Unauthenticated",
    "operator_of",
    "token_of_header",
    "token_of_payload",
]

#: Somebody without a token: everybody under auth `none`; under `jwt` a visitor who looks up a booking.
GUEST: Final = Viewer(subject=ANONYMOUS, is_operator=False)
FINGERPRINT_DIGITS: Final = 8
#: A longer token is refused before it is decoded.
TOKEN_CHARACTERS_MAX: Final = 8_192
SUBJECT_CHARACTERS_MAX: Final = 255
#: The end of the year 9999, in seconds since the epoch. A later expiry is treated as this one.
_EXPIRY_MAX: Final = 253_402_300_799
#: Reserved subjects: the one of auth `none`, and the admin token's in records of releases before 0006. A token may
#: name neither these nor a subject with one of the reserved prefixes.
OUR_SUBJECTS: Final = frozenset({ANONYMOUS, "operator"})
_OUR_BEGINNINGS: Final = (ADMIN_TOKEN, COMMAND_LINE)


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller, and when the proof expires (seconds since the epoch; None: never)."""

    viewer: Viewer
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """The caller is not authenticated; `message` does not reveal what a valid token would be.

    `is_wrong`: a token was sent, and it is invalid. `retry_after_seconds`: the token cannot be
    checked now; retry after so long.
    """

    message: str
    is_wrong: bool = False
    retry_after_seconds: int | None = None

    @property
    def status(self) -> int:
        """The status of the HTTP answer."""
        return 401 if self.retry_after_seconds is None else 503

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the HTTP answer: the challenge of RFC 6750, or Retry-After."""
        if self.retry_after_seconds is not None:
            return {"Retry-After": str(self.retry_after_seconds)}
        return {"WWW-Authenticate": 'Bearer error="invalid_token"' if self.is_wrong else "Bearer"}

    @property
    def code(self) -> str:
        """The code of the GraphQL error."""
        return "UNAUTHENTICATED" if self.retry_after_seconds is None else "UNAVAILABLE"

    @property
    def close_code(self) -> int:
        """The socket's close code: forbidden, or "try again later", after which clients reconnect."""
        return 4403 if self.retry_after_seconds is None else 1013

    @property
    def close_reason(self) -> str:
        """The socket's close reason."""
        return f"Forbidden: {self.message}" if self.retry_after_seconds is None else self.message


_WRONG: Final = Unauthenticated("The token is not valid.", is_wrong=True)


class Authenticator(Protocol):
    """Finds the caller of a token."""

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        """The caller of `token`; pass None if the request has no token."""
        ...

    def start(self) -> None:
        """Start to prepare, in the running loop, what the first token needs. Does not wait for it."""
        ...

    async def close(self) -> None:
        """Release what `start` prepared."""
        ...


class OpenAuthenticator:
    """Auth `none`: one anonymous subject for all, and the operator by the admin token."""

    def __init__(self, admin_token: str) -> None:
        self._admin_token = admin_token
        self._operator = _operator(admin_token)

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        """As the protocol says."""
        if token is None:
            return Caller(GUEST)
        if _is_plausible(token) and _is_same(token, self._admin_token):
            return self._operator
        return _WRONG

    def start(self) -> None:
        """Does nothing."""

    async def close(self) -> None:
        """Does nothing."""


class JwtAuthenticator:
    """Auth `jwt`: tokens signed with HS256 and a shared `secret`, or with a key of the issuer's `key_set`.

    A key is used only with its own algorithm; the token's header must name the same one.
    `sub` and `exp` are required; `iss` and `aud` are required if they are set here. `nbf`, `iat` and
    `exp` may be off by `leeway_seconds`, as clocks differ. `role: operator` makes an operator; `scope` limits an
    operator to the scopes that it names, separated by spaces (RFC 8693). `member` ties the subject to a loyalty
    account, and `trusted: true` lifts the limits on the inventory.
    """

    def __init__(
        self,
        *,
        admin_token: str | None,
        secret: str | None = None,
        key_set: KeySet | None = None,
        issuer: str | None = None,
        audience: str | None = None,
        leeway_seconds: int = 0,
    ) -> None:
        self._admin_token = admin_token
        self._operator = _operator(admin_token or "")
        self._shared_key = _shared_key(secret) if secret is not None else None
        self._key_set = key_set
        self._issuer = issuer
        self._audience = audience
        self._leeway_seconds = leeway_seconds

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        """As the protocol says."""
        if token is None:
            return Unauthenticated("A bearer token is needed.")
        if not _is_plausible(token):
            return _WRONG
        if self._admin_token is not None and _is_same(token, self._admin_token):
            return self._operator
        try:
            key = await self._key_of(token)
            if isinstance(key, KeysUnavailable):
                message = "Tokens cannot be examined just now, as their issuer does not answer."
                return Unauthenticated(message, retry_after_seconds=key.retry_after_seconds)
            return _WRONG if key is None else self._bearer(self._claims(token, key))
        except jwt.PyJWTError:
            return _WRONG

    def start(self) -> None:
        """Begin to fetch the issuer's keys."""
        if self._key_set is not None:
            self._key_set.refresh()

    async def close(self) -> None:
        """Disconnect from the issuer."""
        if self._key_set is not None:
            await self._key_set.close()

    async def _key_of(self, token: str) -> jwt.PyJWK | KeysUnavailable | None:
        """The key that the token must be signed with."""
        if self._key_set is None:
            return self._shared_key
        key_id = jwt.get_unverified_header(token).get("kid")
        return await self._key_set.find(key_id) if isinstance(key_id, str | None) else None

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._issuer,
            audience=self._audience,
            leeway=self._leeway_seconds,
            options={
                "require": ["sub", "exp"],
                "verify_aud": self._audience is not None,
                "enforce_minimum_key_length": True,
            },
        )

    def _bearer(self, claims: Mapping[str, Any]) -> Caller | Unauthenticated:
        """The caller that the claims of a valid token name."""
        subject, member = str(claims["sub"]), claims.get("member")
        # A database may refuse unprintable characters.
        if not 1 <= len(subject) <= SUBJECT_CHARACTERS_MAX or not subject.isprintable():
            return _WRONG
        if subject in OUR_SUBJECTS or subject.startswith(_OUR_BEGINNINGS):
            return _WRONG
        viewer = Viewer(
            subject=subject,
            is_operator=claims.get("role") == "operator",
            member_number=member if isinstance(member, str) else None,
            is_trusted=claims.get("trusted") is True,
            granted=_scopes(claims["scope"]) if "scope" in claims else frozenset(Scope),
        )
        return Caller(viewer, min(int(claims["exp"]), _EXPIRY_MAX) + self._leeway_seconds)


def _scopes(claim: object) -> frozenset[Scope]:
    """Our scopes in a `scope` claim. A claim that is not text names none: it limits, so its faults grant nothing."""
    named = set(claim.split(" ")) if isinstance(claim, str) else set()
    return frozenset(scope for scope in Scope if scope.value in named)


def token_of_header(authorization: str | None) -> str | Unauthenticated | None:
    """The bearer token of an Authorization header; None if there is no header."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return Unauthenticated("The Authorization header must be: Bearer <token>.")
    return token.strip()


def token_of_payload(payload: Mapping[str, Any]) -> str | Unauthenticated | None:
    """The bearer token of a connection_init payload: `authorization: "Bearer ..."` in any case, or `token`."""
    for name, value in payload.items():
        if name.lower() == "authorization":
            return (
                token_of_header(value) if isinstance(value, str) else Unauthenticated("`authorization` must be text.")
            )
    token = payload.get("token")
    return token if token is None or isinstance(token, str) else Unauthenticated("`token` must be text.")


def _operator(admin_token: str) -> Caller:
    """The operator of the admin token. Each admin token has a subject of its own, also after it is replaced."""
    fingerprint = hashlib.sha256(admin_token.encode()).hexdigest()[:FINGERPRINT_DIGITS]
    return Caller(Viewer(subject=f"{ADMIN_TOKEN}{fingerprint}", is_operator=True, member_number=None))


def _shared_key(secret: str) -> jwt.PyJWK:
    octets = base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()
    return jwt.PyJWK({"kty": "oct", "k": octets}, "HS256")


def _is_plausible(token: str) -> bool:
    """Whether the token is worth checking: it is not too long, and has only the characters of tokens."""
    return len(token) <= TOKEN_CHARACTERS_MAX and token.isascii()


def _is_same(given: str, expected: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(given.encode(), expected.encode())


async def operator_of(request: Request, authenticate: Authenticator, *one_of: Scope) -> Viewer | Response:
    """The viewer, if it is an operator with one of these scopes, of which the challenge names the first.

    Otherwise 401 without a valid token (503 if it cannot be checked), or 403.
    """
    token = token_of_header(request.headers.get("authorization"))
    caller: Caller | Unauthenticated
    if token is None:
        caller = Unauthenticated("An operator's bearer token is needed.")
    else:
        caller = token if isinstance(token, Unauthenticated) else await authenticate(token)
    if isinstance(caller, Unauthenticated):
        return problem(caller.status, caller.message, headers=caller.headers)
    note_of(request.scope).asked_by(caller.viewer)
    if not caller.viewer.may(*one_of):
        headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{one_of[0]}"'}
        wanted = " or ".join(one_of)
        message = f"This is for operators with the scope {wanted}; send an operator's bearer token that has it."
        return problem(403, message, headers=headers)
    return caller.viewer
