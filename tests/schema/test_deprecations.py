"""Nothing of the last release is gone, unless it was deprecated for long enough; a deprecation says for how long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    find_breaking_changes,
)

from schema.root import sdl

RELEASED: Final = build_schema(Path(__file__).with_name("released.graphql").read_text())
OURS: Final = build_schema(sdl())
DAYS_MIN: Final = 180
#: "Use `other`. Deprecated 2027-01-15, kept until 2027-07-15."
REASON: Final = re.compile(r"\S.*\. Deprecated (\d{4}-\d\d-\d\d), kept until (\d{4}-\d\d-\d\d)\.")


def deprecated(schema: GraphQLSchema) -> Iterator[tuple[str, str]]:
    """Every field, argument, input field and enum value that is deprecated, with its reason."""
    for name, named in schema.type_map.items():
        if isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            for field_name, field in named.fields.items():
                if field.deprecation_reason is not None:
                    yield f"{name}.{field_name}", field.deprecation_reason
                for argument_name, argument in field.args.items():
                    if argument.deprecation_reason is not None:
                        yield f"{name}.{field_name}({argument_name}:)", argument.deprecation_reason
        elif isinstance(named, GraphQLInputObjectType):
            for field_name, input_field in named.fields.items():
                if input_field.deprecation_reason is not None:
                    yield f"{name}.{field_name}", input_field.deprecation_reason
        elif isinstance(named, GraphQLEnumType):
            for value_name, value in named.values.items():
                if value.deprecation_reason is not None:
                    yield f"{name}.{value_name}", value.deprecation_reason


def kept_until(reason: str) -> date | None:
    """Until when what is deprecated stays; None if the reason does not say so, or it is too short."""
    found = REASON.fullmatch(reason)
    if found is None:
        return None
    since, until = (date.fromisoformat(each) for each in found.groups())
    return until if until - since >= timedelta(days=DAYS_MIN) else None


def removed(old: GraphQLSchema, new: GraphQLSchema, today: date) -> list[str]:
    """What breaks clients of the old schema, but for what was deprecated there and has been kept for long enough."""
    may_go = {place for place, reason in deprecated(old) if (kept_until(reason) or date.max) <= today}
    changes = [change.description for change in find_breaking_changes(old, new)]
    return [change for change in changes if not any(change.endswith(f" {place} was removed.") for place in may_go)]


def test_nothing_of_the_last_release_is_gone() -> None:
    assert removed(RELEASED, OURS, datetime.now(UTC).date()) == []


@pytest.mark.parametrize(
    ("place", "reason"), [*deprecated(OURS), ("", "Use `b`. Deprecated 2027-01-15, kept until 2027-07-15.")]
)
def test_every_deprecation_says_what_to_use_and_how_long_it_is_kept(place: str, reason: str) -> None:
    assert kept_until(reason) is not None, place


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "No longer supported",
        "Use `b`.",
        "Deprecated 2027-01-15, kept until 2027-07-15.",
        "Use `b`. Deprecated 2027-01-15, kept until 2027-03-15.",
    ],
)
def test_a_deprecation_without_its_terms_is_noticed(reason: str) -> None:
    assert kept_until(reason) is None


def test_a_field_may_go_only_when_it_was_kept_for_as_long_as_it_said() -> None:
    old = build_schema("""type Query {
      a: Int @deprecated(reason: "Use `b`. Deprecated 2027-01-15, kept until 2027-07-15.")
      b: Int
      c: Int @deprecated
    }""")
    new = build_schema("type Query { b: Int }")

    assert removed(old, new, date(2027, 7, 14)) == ["Field Query.a was removed.", "Field Query.c was removed."]
    assert removed(old, new, date(2027, 7, 15)) == ["Field Query.c was removed."]
