"""The keys that tokens are signed with, as their issuer publishes them: a JSON Web Key Set, fetched and kept.

::

    kept, younger than FRESH_SECONDS     used
    kept, older                          used, while a fetch goes on beside it for those who come next
    kept longer than KEPT_SECONDS        used no more, as if nothing were kept
    a key id that the set does not have  a fetch first, as the issuer may have new keys
    nothing kept                         a fetch first; where it fails, tokens cannot be judged just now

There is one fetch at a time, which all who wait for it share, and one begins every REFETCH_SECONDS
at most: who makes key ids up hurries the issuer no more than that, and is answered at once in
between. A fetch is bounded in time and in size, and never holds up the event loop. PyJWT's own PyJWKClient fetches
with urllib, which holds it up, and reads as much as comes.

Sources: RFC 7517; RFC 8725 section 3.1 (a key is used with its own algorithm alone).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from jwt import PyJWK, PyJWTError

__all__ = ["FRESH_SECONDS", "KEPT_SECONDS", "REFETCH_SECONDS", "SET_BYTES_MAX", "KeySet", "KeysUnavailable"]

FRESH_SECONDS: Final = 300.0
#: The issuer may be away for so long. Tokens that it has signed until then have mostly expired by themselves.
KEPT_SECONDS: Final = 3_600.0
REFETCH_SECONDS: Final = 10.0
FETCH_SECONDS_MAX: Final = 5.0
SET_BYTES_MAX: Final = 262_144
KEYS_MAX: Final = 100
#: The one algorithm of each kind of key, whatever a token or the set itself says.
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_HEADERS: Final = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
_logger = logging.getLogger("seatsaga.auth")


@dataclass(frozen=True, slots=True)
class KeysUnavailable:
    """The issuer does not answer, and what is kept does not decide; a fetch is due again after so long."""

    retry_after_seconds: int


class _UnusableError(Exception):
    """What was fetched is no key set."""


class KeySet:
    """The key set at `url`. `now` is a clock that never goes back, in seconds."""

    def __init__(
        self, url: str, *, now: Callable[[], float] = time.monotonic, fetch_seconds_max: float = FETCH_SECONDS_MAX
    ) -> None:
        self._url = url
        self._now = now
        self._fetch_seconds_max = fetch_seconds_max
        self._http = httpx.AsyncClient(timeout=fetch_seconds_max, headers=_HEADERS)
        self._keys: dict[str | None, PyJWK] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    def refresh(self) -> asyncio.Task[None] | None:
        """Begin a fetch, or join the one that goes on; None where the last one began a moment ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._tried_at is not None and self._now() - self._tried_at < REFETCH_SECONDS:
            return None
        self._tried_at = self._now()
        self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        return self._fetching

    async def find(self, key_id: str | None) -> PyJWK | KeysUnavailable | None:
        """The key with this id, or, where a token names none, the only one; None where the issuer has no such key."""
        found = self._kept(key_id)
        if found is not None:
            if self._age >= FRESH_SECONDS:
                self.refresh()
            return found
        fetching = self.refresh()
        if fetching is not None:
            await asyncio.shield(fetching)
        found = self._kept(key_id)
        # Where the last fetch has failed, the issuer may well have a key that we do not know of.
        if found is None and (self._age >= KEPT_SECONDS or self._fetched_at != self._tried_at):
            return KeysUnavailable(int(REFETCH_SECONDS))
        return found

    async def close(self) -> None:
        """Give a fetch up that goes on, and disconnect."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._http.aclose()

    @property
    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._now() - self._fetched_at

    def _kept(self, key_id: str | None) -> PyJWK | None:
        if self._age >= KEPT_SECONDS:
            return None
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        began = self._tried_at
        try:
            async with asyncio.timeout(self._fetch_seconds_max):
                self._keys = _keys_of(await self._read())
        except (_UnusableError, httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            why = str(error) if isinstance(error, _UnusableError) else type(error).__name__
            # Its host alone: the rest of the address may hold a secret.
            _logger.warning("The key set of %s could not be fetched: %s.", urlsplit(self._url).hostname, why)
            return
        self._fetched_at = began

    async def _read(self) -> bytes:
        async with self._http.stream("GET", self._url) as answer:
            if answer.status_code != 200:
                raise _UnusableError(f"it answers {answer.status_code}")
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > SET_BYTES_MAX:
                    raise _UnusableError(f"it is larger than {SET_BYTES_MAX} bytes")
        return bytes(body)


def _keys_of(body: bytes) -> dict[str | None, PyJWK]:
    """The keys of a set that can verify a token, by id. Those that cannot are passed over, as RFC 7517 wants it."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _UnusableError("it is no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise _UnusableError("it has no list of keys")
    found: dict[str | None, PyJWK] = {}
    for key in filter(None, map(_usable, listed[:KEYS_MAX])):
        found.setdefault(key.key_id, key)
    if not found:
        raise _UnusableError(f"it has no key for {', '.join(_ALGORITHMS.values())}")
    return found


def _usable(described: Any) -> PyJWK | None:
    """The key that is described, where it verifies signatures by the algorithm of its kind."""
    if not isinstance(described, dict) or not isinstance(described.get("kid"), str | None):
        return None
    kind, curve = described.get("kty"), described.get("crv")
    algorithm = _ALGORITHMS.get((str(kind), None if curve is None else str(curve)))
    if algorithm is None or described.get("alg", algorithm) != algorithm or described.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(described, algorithm)
    except (PyJWTError, TypeError, ValueError):
        return None
    return None if key.Algorithm.check_key_length(key.key) else key
