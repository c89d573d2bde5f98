"""Who is asking: a viewer from a bearer token, the same over HTTP and WebSocket.

Under auth `none` everybody is one anonymous subject, and the admin token makes an operator.
Under `jwt` the token names the subject; the admin token still makes an operator. A token that
is not right is refused, never taken for none.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt

from schema.context import Viewer

__all__ = [
    "Authenticator",
    "Caller",
    "JwtAuthenticator",
    "OpenAuthenticator",
    "Unauthenticated",
    "token_of_header",
    "token_of_payload",
]

ANONYMOUS: Final = "anonymous"
OPERATOR: Final = "operator"
_JWKS_SECONDS: Final = 300
_JWKS_TIMEOUT_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and until when (seconds since the epoch) that is proven; None: for good."""

    viewer: Viewer
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Unauthenticated:
    """The token is missing or not right; `message` does not say what a right one would be."""

    message: str


class Authenticator(Protocol):
    """Tells who bears a token."""

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        """The bearer of `token`; None is who bears none."""
        ...


class OpenAuthenticator:
    """Auth `none`: one anonymous subject for all, and the operator by the admin token."""

    def __init__(self, admin_token: str) -> None:
        self._admin_token = admin_token

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        if token is None:
            return Caller(Viewer(subject=ANONYMOUS, is_operator=False, member_number=None))
        if _is_same(token, self._admin_token):
            return _operator()
        return Unauthenticated("The token is not valid.")


class JwtAuthenticator:
    """Auth `jwt`: HS256 by a shared `secret`, or the asymmetric keys of a JWKS document at `jwks_url`.

    `sub` and `exp` are required, `iss` and `aud` where they are given here; `role: operator`
    makes an operator, `member_number` ties the subject to a loyalty account.
    """

    def __init__(
        self,
        *,
        admin_token: str | None,
        secret: str | None = None,
        jwks_url: str | None = None,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._admin_token = admin_token
        self._secret = secret
        self._keys = (
            jwt.PyJWKClient(jwks_url, lifespan=_JWKS_SECONDS, timeout=_JWKS_TIMEOUT_SECONDS) if jwks_url else None
        )
        self._issuer = issuer
        self._audience = audience

    async def __call__(self, token: str | None) -> Caller | Unauthenticated:
        if token is None:
            return Unauthenticated("A bearer token is needed.")
        if self._admin_token is not None and _is_same(token, self._admin_token):
            return _operator()
        try:
            claims = await self._claims(token)
        except jwt.PyJWTError:
            return Unauthenticated("The token is not valid.")
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject or subject == OPERATOR:
            return Unauthenticated("The token is not valid.")
        member = claims.get("member_number")
        viewer = Viewer(
            subject=subject,
            is_operator=claims.get("role") == "operator",
            member_number=member if isinstance(member, str) else None,
        )
        return Caller(viewer, int(claims["exp"]))

    async def _claims(self, token: str) -> dict[str, Any]:
        key: Any = self._secret
        algorithms = ["HS256"]
        if self._keys is not None:
            # The document may have to be fetched, which blocks.
            key = (await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)).key
            algorithms = ["RS256", "ES256", "EdDSA"]
        return jwt.decode(
            token,
            key,
            algorithms=algorithms,
            issuer=self._issuer,
            audience=self._audience,
            options={"require": ["sub", "exp"], "verify_aud": self._audience is not None},
        )


def token_of_header(authorization: str | None) -> str | Unauthenticated | None:
    """The bearer token of an Authorization header, None where there is no header."""
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


def _operator() -> Caller:
    return Caller(Viewer(subject=OPERATOR, is_operator=True, member_number=None))


def _is_same(given: str, expected: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
