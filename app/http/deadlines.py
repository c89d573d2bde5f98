"""The time in which a client, or the proxy in front of us, expects the answer to a request.

::

    Prefer: wait=20                         the client's (RFC 7240); the answer has Preference-Applied: wait=20
    X-Envoy-Expected-Rq-Timeout-Ms: 15000   Envoy's own, which it sends to the servers behind it

`saga(waitSeconds:)` is answered before the earlier of the two, with the saga as it stands. A value that is not valid is
ignored. Anybody may send these headers: they only shorten the sender's own wait.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers

__all__ = ["HASTE", "answer_within", "preferred_wait"]

#: The part of the time that is left for the way back, and its limit.
_RESERVE: Final = 0.25
RESERVE_SECONDS_MAX: Final = 1.0
_ENVOY: Final = "x-envoy-expected-rq-timeout-ms"
#: A request without these fields has no such time.
HASTE: Final = frozenset({b"prefer", _ENVOY.encode()})
_WAIT: Final = re.compile(r'wait\s*=\s*"?(\d{1,9})"?', re.IGNORECASE | re.ASCII)
_MILLISECONDS: Final = re.compile(r"\d{1,12}", re.ASCII)


def preferred_wait(headers: Headers) -> int | None:
    """The seconds of `Prefer: wait=`; the first one counts. None if there is none."""
    for preference in ",".join(headers.getlist("prefer")).split(","):
        word = preference.partition(";")[0].strip()
        if word.partition("=")[0].strip().lower() == "wait":
            found = _WAIT.fullmatch(word)
            return int(found[1]) if found else None
    return None


def answer_within(headers: Headers) -> float | None:
    """The seconds after which the answer should be sent, so that it arrives in time; None: no limit."""
    limits: list[float] = []
    if (wait := preferred_wait(headers)) is not None:
        limits.append(wait)
    if _MILLISECONDS.fullmatch(expected := headers.get(_ENVOY, "")) and int(expected) > 0:
        # Zero: Envoy does not limit the request.
        limits.append(int(expected) / 1_000)
    seconds = min(limits, default=None)
    return None if seconds is None else seconds - min(RESERVE_SECONDS_MAX, seconds * _RESERVE)
