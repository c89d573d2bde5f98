"""The schema object, and its SDL."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import strawberry
from strawberry.schema.config import StrawberryConfig

from schema.enums import let_newer_names_through
from schema.mutations import Mutation
from schema.queries import Query
from schema.resolvers import call_by_plan
from schema.sagas import CardConfirmationAwaited, PaymentAwaited
from schema.scalars import SCALARS
from schema.subscriptions import Subscription

__all__ = ["SDL_FILE", "create_schema", "sdl"]

SDL_FILE: Final = Path(__file__).with_name("schema.graphql")


def create_schema() -> strawberry.Schema:
    """The schema; `execution.Executable` executes it."""
    schema = strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[PaymentAwaited, CardConfirmationAwaited],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    let_newer_names_through(schema)
    call_by_plan(schema)
    return schema


def sdl() -> str:
    """The API in the schema definition language, as committed in schema/schema.graphql."""
    return create_schema().as_str().rstrip() + "\n"
