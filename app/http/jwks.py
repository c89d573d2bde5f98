"""The issuer's signing keys: fetches its JSON Web Key Set and caches it.

::

    cached, younger than FRESH_SECONDS   used
    cached, older                        used, while a fetch in the background renews it
    cached longer than KEPT_SECONDS      not used, as if nothing were cached
    a key id that the set does not have  fetches first, as the issuer may have new keys
    nothing cached                       fetches first; if the fetch fails, tokens cannot be checked for now

One fetch runs at a time, and all waiting requests share it. A fetch begins at most every REFETCH_SECONDS:
a client that sends invented key ids cannot cause more fetches, and is answered at once in between.
A fetch is limited in time and in size, and never blocks the event loop. PyJWT's own PyJWKClient fetches
with urllib, which blocks the loop and has no size limit.

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
#: The issuer may be unreachable for so long. By then most tokens that it had signed have expired.
KEPT_SECONDS: Final = 3_600.0
REFETCH_SECONDS: Final = 10.0
FETCH_SECONDS_MAX: Final = 5.0
SET_BYTES_MAX: Final = 262_144
KEYS_MAX: Final = 100
#: The only algorithm of each kind of key, regardless of the algorithm that a token or the set names.
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_HEADERS: Final = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
_logger = logging.getLogger("seatsaga.auth")


@dataclass(frozen=True, slots=True)
class KeysUnavailable:
    """The issuer does not answer, and the cached keys do not decide. The next fetch is due after so long."""

    retry_after_seconds: int


class _UnusableError(Exception):
    """The fetched document is not a key set."""


class KeySet:
    """The key set at `url`. `now` is a monotonic clock in seconds."""

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
        """Begin a fetch, or join the running one; None if the last one began less than REFETCH_SECONDS ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if self._tried_at is not None and self._now() - self._tried_at < REFETCH_SECONDS:
            return None
        self._tried_at = self._now()
        self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        return self._fetching

    async def find(self, key_id: str | None) -> PyJWK | KeysUnavailable | None:
        """The key with this id, or the only key if the token names none; None if the issuer has no such key."""
        found = self._kept(key_id)
        if found is not None:
            if self._age >= FRESH_SECONDS:
                self.refresh()
            return found
        fetching = self.refresh()
        if fetching is not None:
            await asyncio.shield(fetching)
        found = self._kept(key_id)
        # If the last fetch failed, the issuer may have a key that we have not seen.
        if found is None and (self._age >= KEPT_SECONDS or self._fetched_at != self._tried_at):
            return KeysUnavailable(int(REFETCH_SECONDS))
        return found

    async def close(self) -> None:
        """Cancel a running fetch, and disconnect."""
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
            # Only the host: the rest of the address may hold a secret.
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
    """The keys of a set that can verify a token, by id. Other keys are ignored, as RFC 7517 says."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _UnusableError("it is not JSON") from None
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
    """The described key, if it can verify signatures by the algorithm of its kind."""
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
