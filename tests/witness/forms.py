"""Stripe's requests: forms with nested names, and lists that are read page by page."""

from __future__ import annotations

import operator
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tests.witness.account import missing
from tests.witness.objects import Json

__all__ = ["Listed", "expands", "page", "parsed"]

PAGE_SIZE: Final = 10
PAGE_SIZE_MAX: Final = 100
_COMPARED: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}

Listed = tuple[str, int, Callable[[], Json]]
"""An object's id, when it was made, and how it is shown."""


def parsed(text: str) -> Json:
    """`a[b]=1&c[0]=2&d=3` as `{"a": {"b": "1"}, "c": {"0": "2"}, "d": "3"}`."""
    found: Json = {}
    for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place: Any = found
        for part, following in zip((first, *rest), (*rest, None), strict=True):
            if following is None:
                place[part] = value
            else:
                place = place.setdefault(part, {})
    return found


def expands(query: Mapping[str, Any], name: str) -> bool:
    """Whether `name` is to be shown in full, in an object or in a list's objects; with `a.b`, `a` is too."""
    wanted = (name, f"data.{name}", f"{name}.", f"data.{name}.")
    return any(each in wanted or each.startswith(wanted[2:]) for each in query.get("expand", {}).values())


def page(url: str, objects: Iterable[Listed], query: Mapping[str, Any]) -> Json:
    """One page, newest first: those that fit `created`, after `starting_after`, no more than `limit`."""
    found = [each for each in objects if _fits(each[1], query.get("created"))]
    found.reverse()
    after = query.get("starting_after")
    if after is not None:
        ids = [each[0] for each in found]
        if after not in ids:
            raise missing("object", after, "starting_after")
        found = found[ids.index(after) + 1 :]
    limit = min(int(query.get("limit", PAGE_SIZE)), PAGE_SIZE_MAX)
    return {
        "object": "list",
        "url": url,
        "has_more": len(found) > limit,
        "data": [show() for _, _, show in found[:limit]],
    }


def _fits(created: int, wanted: Any) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, str):
        return created == int(wanted)
    return all(_COMPARED[how](created, int(value)) for how, value in wanted.items())
