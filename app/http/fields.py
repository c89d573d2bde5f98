"""The header fields of a request by name, gathered once: a request is asked for some ten names.

Starlette's Headers walks all fields for each name.
"""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

__all__ = ["field_of", "fields_of", "list_of"]

_FIELDS: Final = "seatsaga.fields"


def fields_of(scope: Scope) -> dict[bytes, bytes]:
    """The fields by their names in lower case; of several with one name, the first. Read-only."""
    fields: dict[bytes, bytes] | None = scope.get(_FIELDS)
    if fields is None:
        fields = scope[_FIELDS] = dict(reversed(scope["headers"]))
    return fields


def field_of(scope: Scope, name: bytes) -> str | None:
    """The value of the field as text; None if there is none."""
    value = fields_of(scope).get(name)
    return None if value is None else value.decode("latin-1")


def list_of(scope: Scope, name: bytes) -> str | None:
    """The value of a field that is a list and may come in several lines (RFC 9110, 5.3); None if there is none."""
    values = [value for other, value in scope["headers"] if other == name]
    return b", ".join(values).decode("latin-1") if values else None
