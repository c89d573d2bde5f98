"""The look itself: reach the server, then check all else at once."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx

from app.outside.forwarded import see_forwarded, see_patience
from app.outside.observations import Observation, State, advice, broken, holds, skipped
from app.outside.remedies import CHECKS
from app.outside.streams import NEEDS_TOKEN, refusal_in, see_sockets, see_stream
from app.outside.target import Target

__all__ = ["look"]

#: Certificates are usually renewed a month before.
EXPIRY_DAYS_MIN: Final = 14
BODY_BYTES: Final = 1_250_000
_DAY_SECONDS: Final = 86_400
#: An answer of a few kilobytes, for every caller.
_LONG_QUERY: Final = "{ flights(first: 50) { edges { node { id number departsAt arrivesAt } } } }"
_COMPRESSIBLE_BYTES: Final = 2_000
_HTTPS_PORT: Final = 443


async def look(
    url: str,
    *,
    token: str | None,
    is_quick: bool = False,
    trust: ssl.SSLContext | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Observation]:
    """Everything that is seen of the server at `url`, in the order of CHECKS; one observation or more of a check.

    `token`: an operator's or a customer's. `is_quick` leaves out what takes 10 to 20 s. `trust`: if None, the system's
    authorities. `tell` is called before a long wait.
    """
    target = Target(url.rstrip("/"), token, trust or ssl.create_default_context())
    target, found = await _reach(target)
    if not any(each.check == "reachable" and each.state is State.HOLDS for each in found):
        return _sorted(found)
    if not is_quick:
        tell("Waiting up to 20 s: keep-alives come every 10 s, and an answer may take 20 s.")
    work: list[Awaitable[list[Observation]]] = [
        _see_redirect(target),
        _see_caching(target),
        _see_compression(target),
        _see_large_body(target),
        see_forwarded(target),
        see_sockets(target, is_quick=is_quick),
        see_stream("sse", target, is_quick=is_quick),
        see_stream("multipart", target, is_quick=is_quick),
    ]
    if not is_quick:
        work.append(see_patience(target))
    for some in await asyncio.gather(*work):
        found += some
    return _sorted(found)


def _sorted(found: list[Observation]) -> list[Observation]:
    """In the order of CHECKS; of a check only the worst: `holds` beside `broken` would confuse."""
    severity = [State.BROKEN, State.ADVICE, State.HOLDS, State.SKIPPED]
    told = []
    for name in CHECKS:
        mine = [each for each in found if each.check == name]
        worst = min((severity.index(each.state) for each in mine), default=0)
        told += list(dict.fromkeys(each for each in mine if severity.index(each.state) == worst))
    return told


# ---------------------------------------------------------------------- the first request


async def _reach(target: Target) -> tuple[Target, list[Observation]]:
    """What the first request tells. The target changes if plain HTTP leads to https, or if its certificate is bad."""
    found = []
    if target.is_secure:
        found += await _see_tls(target)
        if any(each.check == "tls" and each.state is State.BROKEN for each in found):
            # Look at all else without a token.
            target = replace(target, trust=_trusting(), token=None)
    try:
        async with target.client() as http:
            answer = await http.get(f"{target.url}/healthz")
    except httpx.TransportError as error:
        return target, [*found, broken("reachable", f"No answer: {str(error) or type(error).__name__}.")]
    location = urljoin(str(answer.url), answer.headers.get("location", ""))
    if answer.is_redirect and not target.is_secure and location.startswith("https:"):
        moved = replace(target, url=location.removesuffix("/healthz"))
        if moved.host != target.host:
            # Whoever answers plain HTTP chooses where it leads.
            moved = replace(moved, token=None)
        secure, later = await _reach(moved)
        return secure, [*found, _redirected(answer.status_code), *later]
    if not target.is_secure:
        found.append(
            skipped("tls", "the address is of this machine")
            if target.is_here
            else broken("tls", "The address is plain HTTP: others can read tokens and bookings.")
        )
    return target, [*found, *_reached(target, answer)]


def _reached(target: Target, answer: httpx.Response) -> list[Observation]:
    said = _json(answer)
    if answer.status_code == 200 and said.get("status") == "ok":
        return [holds("reachable")]
    detail = said.get("detail", "")
    if answer.status_code == 421:
        return [broken("host", f"The server refuses the Host that arrives: {detail}")]
    if answer.status_code == 403 and "SEATSAGA_FORWARDED_ALLOW_IPS" in detail:
        return [broken("forwarded", f"The server does not trust the proxy: {detail}")]
    kind = answer.headers.get("content-type", "no content type")
    what = f"{target.url}/healthz was answered {answer.status_code} ({kind})"
    if answer.status_code in (502, 503, 504):
        return [broken("reachable", f"{what}: the proxy does not reach a server.")]
    path = urlsplit(target.url).path
    hint = f"SEATSAGA_BASE_PATH={path} on the server" if path else "does the address lack a base path?"
    return [broken("reachable", f"{what}: this is not seatsaga, or at another path ({hint}).")]


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _redirected(status: int) -> Observation:
    if status in (307, 308):
        return holds("redirect")
    return broken("redirect", f"Plain HTTP is redirected with {status}: clients then repeat a POST as GET.")


async def _see_redirect(target: Target) -> list[Observation]:
    """What plain HTTP at the usual port says, if the address has the usual port of https."""
    if not target.is_secure or target.port != _HTTPS_PORT:
        return []
    plain = f"http://{target.host}{urlsplit(target.url).path}/healthz"
    try:
        async with target.client() as http:
            answer = await http.get(plain)
    except httpx.TransportError:
        return [skipped("redirect", "nothing listens at port 80")]
    if answer.is_redirect and answer.headers.get("location", "").startswith("https:"):
        return [_redirected(answer.status_code)]
    return [broken("redirect", f"{plain} was answered {answer.status_code}, without a redirect to https.")]


async def _see_tls(target: Target) -> list[Observation]:
    """Certificate and protocol, as the handshake gives them."""
    trust = target.trust
    trust.set_alpn_protocols(["h2", "http/1.1"])
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(target.host, target.port, ssl=trust), 10)
    except ssl.SSLCertVerificationError as error:
        return [broken("tls", f"The certificate is refused: {error.verify_message}.")]
    except ssl.SSLError as error:
        return [broken("tls", f"The handshake failed: {error.reason}.")]
    except (OSError, TimeoutError):
        # The first request says why.
        return []
    finally:
        trust.set_alpn_protocols(["http/1.1"])
    handshake = writer.get_extra_info("ssl_object")
    days = (ssl.cert_time_to_seconds(handshake.getpeercert()["notAfter"]) - time.time()) / _DAY_SECONDS
    protocol = handshake.selected_alpn_protocol()
    writer.close()
    return [
        holds("tls") if days >= EXPIRY_DAYS_MIN else broken("tls", f"The certificate expires in {days:.0f} days."),
        holds("http2") if protocol == "h2" else advice("http2", "Only HTTP/1.1 is offered."),
    ]


# ---------------------------------------------------------------------- requests


async def _see_caching(target: Target) -> list[Observation]:
    """Ask the same twice: each answer of the server has an ID of its own."""
    try:
        async with target.client() as http:
            asked = [
                await http.get(f"{target.url}/graphql", params={"query": "{ __typename }"}, headers=target.bearer)
                for _ in range(2)
            ]
    except httpx.TransportError as error:
        return [broken("caching", f"A query by GET failed: {error!r}.")]
    ids = {answer.headers.get("x-request-id") for answer in asked}
    if (len(ids) == 1 and None not in ids) or "age" in asked[1].headers:
        return [broken("caching", "The same query was answered twice with one answer: it comes from a cache.")]
    said = asked[0].headers.get("cache-control", "")
    if "no-store" not in said:
        return [broken("caching", f"Cache-Control arrives as {said!r}, without no-store.")]
    return [holds("caching")]


async def _see_compression(target: Target) -> list[Observation]:
    headers = {"Accept-Encoding": "gzip, br, zstd", "Accept": "application/graphql-response+json", **target.bearer}
    try:
        async with target.client() as http:
            async with http.stream(
                "POST", f"{target.url}/graphql", json={"query": _LONG_QUERY}, headers=headers
            ) as answer:
                said = b"".join([chunk async for chunk in answer.aiter_raw()])
    except httpx.TransportError as error:
        return [broken("compression", f"A query failed: {error!r}.")]
    if answer.status_code != 200:
        return [skipped("compression", refusal_in(said) or f"a query was answered {answer.status_code}")]
    if "content-encoding" in answer.headers:
        return [holds("compression")]
    if len(said) < _COMPRESSIBLE_BYTES:
        return [skipped("compression", "there are too few flights for an answer worth compressing")]
    return [advice("compression", f"An answer of {len(said):,} bytes came uncompressed.")]


async def _see_large_body(target: Target) -> list[Observation]:
    """Send more than the server takes by default; where it takes more, it answers the query."""
    body = {"query": "{ __typename }", "extensions": {"padding": "x" * BODY_BYTES}}
    try:
        async with target.client() as http:
            answer = await http.post(f"{target.url}/graphql", json=body, headers=target.bearer)
    except httpx.TransportError as error:
        return [broken("body-limit", f"A body of {BODY_BYTES:,} bytes failed without an answer: {error!r}.")]
    if answer.status_code == 401:
        return [skipped("body-limit", NEEDS_TOKEN)]
    if not ("errors" in _json(answer) or "data" in _json(answer)):
        kind = answer.headers.get("content-type", "no content type")
        return [broken("body-limit", f"A body of {BODY_BYTES:,} bytes was answered {answer.status_code} with {kind}.")]
    return [holds("body-limit")]


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
