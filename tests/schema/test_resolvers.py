"""Resolvers that are called by a plan get the same arguments as from Strawberry."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import strawberry
from strawberry.extensions import FieldExtension
from strawberry.types import Info

from schema.resolvers import call_by_plan
from schema.root import create_schema
from schema.variables import by_plan


@by_plan
@strawberry.input
class Wish:
    seat_number: str
    rows: list[int] | None = None


class Doubling(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: Any, **given: Any) -> Any:
        return next_(source, info, **given) * 2


@strawberry.type
class Thing:
    plain_name: str

    @strawberry.field
    def told(self, info: Info[Any, None], how_often: int = 2, wish: Wish | None = None) -> str:
        return f"{info.field_name} {self.plain_name} {how_often} {wish}"

    @strawberry.field
    async def waited(self, wishes: Annotated[list[Wish], strawberry.argument(name="all")]) -> str:
        return f"{self.plain_name} {wishes}"

    @strawberry.field
    def of_parent(self, parent: strawberry.Parent[Any]) -> str:
        return str(parent.plain_name)

    @strawberry.field(extensions=[Doubling()])  # type: ignore[untyped-decorator]
    def extended(self) -> str:
        return "twice"

    @strawberry.field
    def broken(self) -> str:
        raise ValueError("broken")


@strawberry.type
class Query:
    @strawberry.field
    def thing(self) -> Thing:
        return Thing(plain_name="it")


TEXT = """
query ($wish: Wish, $wishes: [Wish!]!) {
  thing {
    plainName
    told
    none: told(howOften: 1, wish: null)
    given: told(wish: $wish)
    waited(all: $wishes)
    ofParent
    extended
  }
}
"""


@pytest.mark.parametrize("wish", [None, {"seatNumber": "1A"}, {"seatNumber": "1A", "rows": [1, 2]}])
async def test_a_planned_resolver_answers_as_strawberry_does(wish: Any) -> None:
    answers = []
    for change in (lambda schema: None, call_by_plan):
        schema = strawberry.Schema(Query)
        change(schema)
        found = await schema.execute(TEXT, {"wish": wish, "wishes": [wish] if wish else []})
        assert found.errors is None
        answers.append(found.data)
    assert answers[0] == answers[1]


async def test_a_fault_of_a_planned_resolver_has_its_place() -> None:
    schema = strawberry.Schema(Query)
    call_by_plan(schema)
    found = await schema.execute("{ thing { broken } }")
    assert [(error.message, error.path) for error in found.errors or ()] == [("broken", ["thing", "broken"])]


def test_all_our_fields_are_planned_but_subscriptions() -> None:
    types = create_schema()._schema.type_map
    resolvers = {
        f"{name}.{field}": definition.resolve
        for name, type_ in types.items()
        if not name.startswith("__") and name != "Subscription"
        for field, definition in getattr(type_, "fields", {}).items()
        if getattr(definition, "resolve", None) is not None and not hasattr(type_, "resolve_type")
    }
    assert {key for key, resolve in resolvers.items() if resolve.__module__ != "schema.resolvers"} == set()
