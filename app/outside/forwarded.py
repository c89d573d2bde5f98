"""What the server learns of a client through the proxy, and how long the proxy waits. It tells operators only."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Any, Final

import httpx

from app.outside.observations import Observation, broken, holds, skipped
from app.outside.target import Target

__all__ = ["see_forwarded", "see_patience"]

WAIT_SECONDS: Final = 20
_WAIT_SECONDS_MAX: Final = WAIT_SECONDS + 10.0
_NEEDS_OPERATOR: Final = "the server tells operators only; set SEATSAGA_ADMIN_TOKEN"
#: An address that nobody has (RFC 5737).
_LIE: Final = "192.0.2.1"
_LIES: Final = {
    "X-Forwarded-For": _LIE,
    "X-Forwarded-Prefix": "/seatsaga-doctor",
    "X-Forwarded-Host": "seatsaga-doctor.invalid",
    "Forwarded": f"for={_LIE}",
}


async def see_forwarded(target: Target) -> list[Observation]:
    """Ask the server how a request arrives: once as it is, once with claims that a proxy must remove."""
    if not target.bearer:
        return [skipped("forwarded", _NEEDS_OPERATOR)]
    try:
        async with target.client() as http:
            plain = await http.get(f"{target.url}/healthz", headers=target.bearer)
            lying = await http.get(f"{target.url}/healthz", headers=_LIES | target.bearer)
    except httpx.TransportError as error:
        return [broken("forwarded", f"A request with an operator's token failed: {error!r}.")]
    seen, claimed = _seen(plain), _seen(lying)
    if seen is None:
        return [skipped("forwarded", _NEEDS_OPERATOR)]
    if claimed is None and lying.status_code != HTTPStatus.FORBIDDEN:
        return [broken("forwarded", f"With X-Forwarded-* of a client the answer is {lying.status_code}.")]
    # Without authentication a server refuses such claims itself.
    return _judge(target, seen, claimed or seen)


def _judge(target: Target, seen: dict[str, Any], claimed: dict[str, Any]) -> list[Observation]:
    found = []
    if seen["host"] != target.authority:
        found.append(broken("host", f"The server sees the host {seen['host']}, not {target.authority}."))
    scheme = "https" if target.is_secure else "http"
    if not seen["isFromTrustedProxy"]:
        if seen["forwardedHeaders"] or seen["scheme"] != scheme:
            said = f"The server does not trust {seen['peer']}; add it to SEATSAGA_FORWARDED_ALLOW_IPS."
            return [*found, broken("forwarded", said)]
        return [*found, holds("forwarded")]
    if not {"x-forwarded-for", "forwarded"} & set(seen["forwardedHeaders"]):
        found.append(broken("forwarded", "The proxy sends no X-Forwarded-For: all clients share its address."))
    if seen["scheme"] != scheme:
        found.append(broken("forwarded", f"The server sees {seen['scheme']}, not {scheme}: no X-Forwarded-Proto."))
    changed = [name for name in ("client", "host", "basePath") if claimed[name] != seen[name]]
    if changed:
        said = ", ".join(f"{name} {claimed[name]}" for name in changed)
        found.append(broken("forwarded", f"The proxy passes on what a client claims: {said}."))
    return found or [holds("forwarded")]


async def see_patience(target: Target) -> list[Observation]:
    """Ask for an answer that takes as long as the longest waitSeconds."""
    if not target.bearer:
        return [skipped("patience", _NEEDS_OPERATOR)]
    began = time.monotonic()
    try:
        async with target.client() as http:
            answer = await http.get(
                f"{target.url}/healthz",
                params={"answerAfterSeconds": WAIT_SECONDS},
                headers=target.bearer,
                timeout=_WAIT_SECONDS_MAX,
            )
    except httpx.TransportError as error:
        said = f"after {time.monotonic() - began:.0f} s: {type(error).__name__}"
        return [broken("patience", f"An answer that takes {WAIT_SECONDS} s was cut {said}.")]
    if answer.status_code != 200:
        said = f"{answer.status_code} after {time.monotonic() - began:.0f} s"
        return [broken("patience", f"In place of an answer that takes {WAIT_SECONDS} s the proxy answered {said}.")]
    return [holds("patience")] if _seen(answer) else [skipped("patience", _NEEDS_OPERATOR)]


def _seen(answer: httpx.Response) -> dict[str, Any] | None:
    """The request as the server sees it; None if it does not tell."""
    try:
        seen = answer.json().get("request")
    except (ValueError, AttributeError):
        return None
    return seen if isinstance(seen, dict) else None
