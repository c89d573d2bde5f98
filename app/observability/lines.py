"""One line of the log, and its two shapes: for people and for machines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from domain.payments import mask_card_tokens

__all__ = ["Line", "Marker", "as_console", "as_json", "redact"]

#: What else is never written, should a library say it: tokens that are JWTs, Stripe's keys, a URL's password.
_SECRETS: Final = (
    ("eyJ", re.compile(r"\beyJ[\w-]*(\.[\w-]*)+"), "[redacted]"),
    ("k_", re.compile(r"\b([rs]k)_\w+"), r"\1_[redacted]"),
    ("://", re.compile(r"(://[^\s:/@]*:)[^\s/]*(?=@)"), r"\1[redacted]"),
)


class Marker(StrEnum):
    """What a line is about."""

    SAGA = "SAGA"
    """A saga as a whole: started, cancelled, ended, stuck."""
    SAGA_STEP = "SAGA STEP"
    """A step's way forward, and its call to the gateway."""
    QUEUE = "QUEUE"
    """What of a saga waits, runs, is done, and would be undone."""
    COMPENSATION = "COMPENSATION"
    """The undoing of a step."""
    LOG = "LOG"
    """Everything else."""


@dataclass(slots=True)
class Line:
    """`at` in microseconds since the epoch; `fields` go behind the message, or beside it in JSON."""

    at: int
    marker: Marker
    level: str
    correlation_id: str | None
    message: str
    fields: dict[str, Any]


def as_console(lines: Iterable[Line]) -> str:
    """`2026-07-29T12:00:00.123Z [SAGA STEP] 0198...: RESERVE_SEAT started. attempt=1`, one after another."""
    stamp = _Stamps()
    parts = []
    for line in lines:
        level = "" if line.level == "info" else f"{line.level.upper()} "
        of = f"{line.correlation_id}: " if line.correlation_id else ""
        behind = "".join([f" {name}={value}" for name, value in line.fields.items() if name not in _IN_MESSAGE])
        parts.append(f"{stamp(line.at)} [{line.marker}] {level}{of}{line.message}{behind}\n")
    return redact("".join(parts))


def as_json(lines: Iterable[Line]) -> str:
    """One JSON object a line."""
    stamp = _Stamps()
    parts = [
        _encode(
            {
                "at": stamp(line.at),
                "level": line.level,
                "marker": line.marker,
                **({"correlation_id": line.correlation_id} if line.correlation_id else {}),
                "message": line.message,
                **line.fields,
            }
        )
        for line in lines
    ]
    return redact("".join(parts))


def redact(text: str) -> str:
    """`text` without card tokens and other secrets that can be told by their looks."""
    for sign, pattern, rest in _SECRETS:
        if sign in text:
            text = pattern.sub(rest, text)
    return mask_card_tokens(text)


def _encode(value: dict[str, Any]) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode() + "\n"


#: Fields that machines need and that the message already tells people.
_IN_MESSAGE: Final = frozenset({"event", "step", "compensation", "sequence", "failure", "queue", "exception"})


class _Stamps:
    """Microseconds as RFC 3339 with milliseconds; the second's text is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, at: int) -> str:
        second, rest = divmod(at, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest // 1_000:03d}Z"
