"""The GraphQL documents that the clients send."""

from __future__ import annotations

from typing import Final

from seatsaga_client.types import EVENT_FIELDS, SAGA_FIELDS

__all__ = ["INPUTS", "documents", "event_document", "mutation_document", "saga_document"]

#: The mutations, and the types of their inputs.
INPUTS: Final = {
    "bookFlight": "BookFlightInput",
    "payForHold": "PayForHoldInput",
    "confirmCard": "ConfirmCardInput",
    "cancelSaga": "CancelSagaInput",
}
_SAGA: Final = "correlationId status sequence"


def documents(saga_fields: str = SAGA_FIELDS, event_fields: str = EVENT_FIELDS) -> list[str]:
    """All of them, for a server that runs trusted documents only. `..._fields`: where you pass others as `fields`."""
    mutations = [mutation_document(name, saga_fields) for name in INPUTS]
    return [*mutations, saga_document(saga_fields), event_document(event_fields)]


def mutation_document(name: str, fields: str) -> str:
    return f"""mutation($input: {INPUTS[name]}!) {{ {name}(input: $input) {{
  saga {{ {_SAGA} {fields} }} errors {{ __typename ... on UserError {{ code message path }} }} }} }}"""


def saga_document(fields: str) -> str:
    return f"""query($id: UUID!, $seconds: Int!) {{ saga(correlationId: $id, waitSeconds: $seconds) {{
  {_SAGA} {fields} }} }}"""


def event_document(fields: str) -> str:
    return f"""subscription($id: UUID!, $after: Int!) {{ sagaEvents(correlationId: $id, after: $after) {{
  sequence type {fields} }} }}"""
