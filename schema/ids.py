"""Opaque, globally unique node ids: base64 of `Type:key`. A garbled id, or one of another type, is not found."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

__all__ = ["decode", "encode", "key_of", "number_of"]

#: The canonical form of a number that fits into a database's integer.
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


def encode(kind: str, key: object) -> str:
    """The node id of the `kind` named by `key`."""
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def decode(node_id: str) -> tuple[str, str] | None:
    """Kind and key of a node id; None if it is not one of ours."""
    try:
        text = base64.urlsafe_b64decode(node_id + "=" * (-len(node_id) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
    kind, separator, key = text.partition(":")
    if not separator or encode(kind, key) != node_id.rstrip("="):
        return None
    return kind, key


def number_of(text: str) -> int | None:
    """The number that `text` holds in the canonical form of ids and cursors; else None."""
    return int(text) if _NUMBER.fullmatch(text) else None


def key_of(node_id: str, kind: str) -> str | None:
    """The key of a node id of `kind`, or None."""
    decoded = decode(node_id)
    return decoded[1] if decoded is not None and decoded[0] == kind else None
