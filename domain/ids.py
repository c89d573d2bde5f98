"""Identifiers. IDs of things that have an order in time are UUIDv7 (RFC 9562): the text sorts by creation.

Alternatives: `uuid.uuid7` comes with Python 3.14, and we support 3.11. The package uuid-utils promises order within a
millisecond, but not after the clock steps back, and a forked process must reseed it.
"""

from __future__ import annotations

import os
import time
import uuid
from threading import Lock

__all__ = ["canonical_uuid", "new_id"]

_lock = Lock()
_last = 0
_RANDOM_BITS = 62
_COUNTER_BITS = 12
_DRAWN_BYTES = 8_192
#: Random bytes drawn in advance, and the process that drew them: a forked process draws its own.
_pool = memoryview(b"")
_drawn_by = 0


def new_id() -> str:
    """A new UUIDv7 in canonical lower-case text.

    Guarantee: the IDs of one process strictly increase, also within one millisecond and if
    the wall clock steps back (RFC 9562 section 6.2, method 3: the 12 bits after the
    millisecond hold its fraction; they are counted up if the clock has not moved).
    """
    global _last, _pool, _drawn_by
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    stamp = milliseconds << _COUNTER_BITS | (rest << _COUNTER_BITS) // 1_000_000
    with _lock:
        stamp = max(stamp, _last + 1)
        _last = stamp
        # Each system call lets another thread run first, so one call draws bytes for many IDs.
        if len(_pool) < 8 or _drawn_by != os.getpid():
            _pool, _drawn_by = memoryview(os.urandom(_DRAWN_BYTES)), os.getpid()
        random, _pool = _pool[:8], _pool[8:]
    head = stamp >> _COUNTER_BITS
    fraction = stamp & ((1 << _COUNTER_BITS) - 1)
    tail = int.from_bytes(random, "big") >> (64 - _RANDOM_BITS)
    value = head << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | tail
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def canonical_uuid(text: str) -> str | None:
    """`text` as a canonical lower-case UUID; None if it is not one (36 characters with hyphens, any case)."""
    if len(text) != 36:
        return None
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    canonical = str(value)
    return canonical if canonical == text.lower() else None
