"""`seatsaga watch`: draws one saga live."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from app.client import Client, ServerError
from app.commands.drawing import SagaDrawing
from app.commands.options import URL_DEFAULT, UrlOption, operator_token
from app.commands.terminal import Terminal

__all__ = ["watch"]

_SAGA = """query($id: UUID!) { saga(correlationId: $id) {
  status sequence steps { name status compensation }
} }"""


def watch(
    correlation_id: Annotated[str, typer.Argument(help="The saga's correlation ID; it may be booked later.")],
    url: UrlOption = URL_DEFAULT,
    after: Annotated[int, typer.Option(help="Show events after this sequence.")] = 0,
) -> None:
    """Draw a saga as it runs; a lost connection resumes without gap or repeat. Exits 0 if it ends COMPLETED."""
    status = asyncio.run(_watch(correlation_id, url, after))
    raise typer.Exit(0 if status == "COMPLETED" else 1)


async def _watch(correlation_id: str, url: str, after: int) -> str:
    drawing = SagaDrawing(Terminal())
    async with Client(url, operator_token()) as client:
        async for event in client.follow(correlation_id, after=after):
            drawing.draw(event)
        found: dict[str, Any] | None = (await client.look(_SAGA, id=correlation_id))["saga"]
    if found is None:
        raise ServerError(f"there is no saga {correlation_id}")
    drawing.conclude(found)
    status: str = found["status"]
    return status
