"""The schema object, its limits, and its SDL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import strawberry
from strawberry.extensions import (
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    SchemaExtension,
    ValidationCache,
)
from strawberry.schema.config import StrawberryConfig

from schema.errors import FaultMask
from schema.mutations import Mutation
from schema.queries import Query
from schema.scalars import SCALARS
from schema.subscriptions import Subscription

__all__ = ["SDL_FILE", "Limits", "create_schema", "sdl"]

SDL_FILE: Final = Path(__file__).with_name("schema.graphql")
_DOCUMENTS_CACHED: Final = 512


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may ask for."""

    depth_max: int = 15
    aliases_max: int = 30
    tokens_max: int = 2_000


def create_schema(limits: Limits | None = None) -> strawberry.Schema:
    """The executable schema. Documents are parsed and validated once each, and kept."""
    bounds = limits or Limits()
    extensions: list[type[SchemaExtension] | SchemaExtension] = [
        QueryDepthLimiter(max_depth=bounds.depth_max),
        MaxAliasesLimiter(max_alias_count=bounds.aliases_max),
        MaxTokensLimiter(max_token_count=bounds.tokens_max),
        ParserCache(maxsize=_DOCUMENTS_CACHED),
        ValidationCache(maxsize=_DOCUMENTS_CACHED),
        FaultMask,
    ]
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        extensions=extensions,
        config=StrawberryConfig(scalar_map=SCALARS),
    )


def sdl() -> str:
    """The API in the schema definition language, as committed in schema/schema.graphql."""
    return create_schema().as_str().rstrip() + "\n"
