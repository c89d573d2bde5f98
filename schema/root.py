"""The schema object, its limits, and its SDL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import strawberry
from graphql import GraphQLError
from strawberry.extensions import (
    AddValidationRules,
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    SchemaExtension,
    ValidationCache,
)
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from schema.errors import FaultMask, PlainText
from schema.mutations import Mutation
from schema.queries import Query
from schema.scalars import SCALARS
from schema.subscriptions import Subscription

__all__ = ["SDL_FILE", "Limits", "create_schema", "sdl"]

SDL_FILE: Final = Path(__file__).with_name("schema.graphql")
DOCUMENTS_CACHED: Final = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may ask for."""

    depth_max: int = 15
    aliases_max: int = 30
    tokens_max: int = 2_000


class _Schema(strawberry.Schema):
    """Does not log errors: what the caller can mend is not the log's, and FaultMask tells of faults."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Nothing is left to do."""


def create_schema(limits: Limits | None = None) -> strawberry.Schema:
    """The executable schema. Documents are parsed and validated once each, and kept."""
    bounds = limits or Limits()
    # Made once: a rule is a class of its own each time, and would make every cached validation a miss.
    depth = QueryDepthLimiter(max_depth=bounds.depth_max).validation_rules
    aliases = MaxAliasesLimiter(max_alias_count=bounds.aliases_max).validation_rules
    extensions: list[Callable[[], SchemaExtension]] = [
        lambda: AddValidationRules([*depth, *aliases]),
        lambda: MaxTokensLimiter(max_token_count=bounds.tokens_max),
        lambda: ParserCache(maxsize=DOCUMENTS_CACHED),
        lambda: ValidationCache(maxsize=DOCUMENTS_CACHED),
        PlainText,
        FaultMask,
    ]
    return _Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=extensions,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """The API in the schema definition language, as committed in schema/schema.graphql."""
    return create_schema().as_str().rstrip() + "\n"
