"""Content negotiation: media types by Accept, encodings by Accept-Encoding (RFC 9110 section 12.5).

Starlette parses neither. werkzeug's MIMEAccept does, but uses the same order of preference for equal types and for
wildcards. GraphQL needs two orders, as a client that names no type gets application/json.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

__all__ = ["GRAPHQL_JSON", "HTML", "JSON", "choose", "choose_encoding", "parse_media_type", "wanted_of"]

JSON: Final = "application/json"
GRAPHQL_JSON: Final = "application/graphql-response+json"
HTML: Final = "text/html"


@lru_cache(maxsize=256)
def choose(accept: str | None, offered: tuple[str, ...], *, otherwise: str) -> str | None:
    """The offered type that the client prefers; None if none is acceptable.

    Types are preferred by their q, then by their order in `offered`. A wildcard or a missing Accept
    chooses `otherwise`: a client that names no type gets the traditional one.
    """
    if accept is None or not accept.strip():
        return otherwise
    wanted = wanted_of(accept)
    qualities = {kind: wanted[kind] for kind in offered if kind in wanted}
    rejected = {kind for kind, quality in qualities.items() if quality == 0}
    named = [kind for kind, quality in qualities.items() if quality > 0]
    anything = max(wanted.get("*/*", 0.0), wanted.get(f"{otherwise.partition('/')[0]}/*", 0.0))
    best = max(named, key=lambda kind: qualities[kind], default=None)
    if best is not None and qualities[best] >= anything:
        return best
    return otherwise if anything > 0 and otherwise not in rejected else best


@lru_cache(maxsize=256)
def choose_encoding(accept_encoding: str | None, offered: tuple[str, ...]) -> str | None:
    """The first of `offered` that the client prefers; None if it prefers uncompressed data or says nothing."""
    wanted = wanted_of(accept_encoding or "")
    best, best_quality = None, wanted.get("identity", 0.0)
    for encoding in offered:
        quality = wanted.get(encoding, wanted.get("*", 0.0))
        if quality > best_quality:
            best, best_quality = encoding, quality
    return best


def parse_media_type(header: str) -> tuple[str, dict[str, str]]:
    """Split `application/json; charset=utf-8` into the lower-case type and its parameters."""
    kind, *rest = header.split(";")
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"').lower()
    return kind.strip().lower(), parameters


def wanted_of(
    accept: str, counts: Callable[[str, dict[str, str]], bool] = lambda kind, parameters: bool(kind)
) -> dict[str, float]:
    """The q of each type or encoding in the header, 0 to 1. Only the parts that `counts` accepts are included."""
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        kind, parameters = parse_media_type(part)
        if counts(kind, parameters):
            wanted[kind] = max(wanted.get(kind, 0.0), _quality(parameters.get("q")))
    return wanted


def _quality(text: str | None) -> float:
    if text is None:
        return 1.0
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0
