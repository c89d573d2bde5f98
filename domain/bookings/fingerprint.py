"""Tells one request from another under the same correlation ID."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

__all__ = ["FINGERPRINT_VERSION", "fingerprint"]

FINGERPRINT_VERSION: Final = 1


def fingerprint(kind: str, request: dict[str, Any]) -> str:
    """`version:digest` of the request as canonical JSON: sorted keys; None and empty values are left out.

    A field that is added later with a default does not change the fingerprint of requests that
    leave it out. The digest is one-way, as requests hold names and card tokens.
    """
    document = msgspec.json.encode({"kind": kind, **_pruned(request)}, order="sorted")
    return f"{FINGERPRINT_VERSION}:{hashlib.sha256(document).hexdigest()}"


def _pruned(value: Any) -> Any:
    """The value without fields at their default: None, 0, empty."""
    match value:
        case dict():
            pruned = {key: _pruned(item) for key, item in value.items()}
            return {key: item for key, item in pruned.items() if item not in (None, 0, "", [], {}, ())}
        case list() | tuple():
            return [_pruned(item) for item in value]
        case _:
            return value
