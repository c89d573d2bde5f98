"""An issuer of tokens: keys of its own, the address where it publishes them, and a clock to wind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.serving import serving

__all__ = ["Issuer", "SigningKey", "claims", "issuing", "new_key"]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_WRITERS: Final[dict[str, Callable[..., Any]]] = {
    "RS256": RSAAlgorithm.to_jwk,
    "ES256": ECAlgorithm.to_jwk,
    "EdDSA": OKPAlgorithm.to_jwk,
}


@dataclass(frozen=True)
class SigningKey:
    """A key pair; `algorithm` is the one that it signs by."""

    id: str | None
    private: PrivateKey
    algorithm: str

    def sign(self, claims: Mapping[str, Any], *, key_id: str | None = None) -> str:
        """A token of these claims, under the key's own id or another."""
        named = key_id or self.id
        headers = {} if named is None else {"kid": named}
        return jwt.encode(dict(claims), self.private, algorithm=self.algorithm, headers=headers)

    @property
    def published(self) -> dict[str, Any]:
        """Its public half as a JSON web key."""
        described: dict[str, Any] = _WRITERS[self.algorithm](self.private.public_key(), as_dict=True)
        described.pop("key_ops", None)
        return described | ({} if self.id is None else {"kid": self.id})


def new_key(key_id: str | None = "first", algorithm: str = "ES256", *, bits: int = 2048) -> SigningKey:
    """A key that no other is like. `bits`: of an RSA key, which are slow to make, so each size is made once."""
    match algorithm:
        case "RS256":
            return SigningKey(key_id, _rsa(bits), algorithm)
        case "EdDSA":
            return SigningKey(key_id, ed25519.Ed25519PrivateKey.generate(), algorithm)
        case _:
            return SigningKey(key_id, ec.generate_private_key(ec.SECP256R1()), algorithm)


@cache
def _rsa(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def claims(**changes: Any) -> dict[str, Any]:
    """Claims of a token that is valid for a minute; a change to None leaves a claim out."""
    wanted = {"sub": "ada", "exp": int(time.time()) + 60, **changes}
    return {name: value for name, value in wanted.items() if value is not None}


@dataclass
class Issuer:
    """Publishes `keys`, or `body` as it is, with `status`. While `gate` is closed, nobody is answered."""

    url: str
    keys: list[SigningKey]
    status: int = 200
    body: bytes | None = None
    asked: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: float = 1_000.0

    def now(self) -> float:
        """A clock that goes on when the test says so."""
        return self.seconds

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        await self.gate.wait()
        body = self.body
        if body is None:
            body = json.dumps({"keys": [key.published for key in self.keys]}).encode()
        return Response(body, self.status, media_type="application/json")


@asynccontextmanager
async def issuing(*keys: SigningKey) -> AsyncIterator[Issuer]:
    """An issuer of these keys at an address of its own, until the block ends."""
    issuer = Issuer("", list(keys))
    issuer.gate.set()
    async with serving(Starlette(routes=[Route("/jwks", issuer.answer)])) as served:
        issuer.url = f"{served.url}/jwks"
        yield issuer
        issuer.gate.set()
