"""Every JavaScript family over every event, as the table of docs/clients.md has it: one server, one Node process.

What each family must bring about is told in clients/src/weather.ts.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.javascript import JavaScript
from tests.clients.snippets import PAGE
from tests.clients.tokens import customer
from tests.clients.weather import Weather

EVENTS = (
    "planned stop",
    "kill",
    "expired token",
    "busy server",
    "proxy's 502",
    "network cut",
    "sleep",
    "slow reader",
    "CURSOR_AHEAD",
    "HISTORY_PRUNED",
)
FAMILIES = (
    "Apollo, WebSocket",
    "Apollo, multipart",
    "urql, WebSocket",
    "urql, SSE",
    "Relay",
    "graphql-ws",
    "graphql-sse",
    "fetch alone",
    "EventSource",
)


def test_the_table_of_the_page_names_every_cell() -> None:
    """The families and the events that the tests below play, each cell with what comes of it."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line[:1] == "|"
    ]
    (head,) = [row for row in rows if row[0] == "Family"]
    found = {row[0]: row[1:] for row in rows if row[0] in FAMILIES and len(row) == len(head)}
    past = {"CURSOR_AHEAD": "told", "HISTORY_PRUNED": "told or skipped"}

    assert tuple(event.strip("`") for event in head[1:]) == EVENTS
    assert found == {family: [past.get(event, "resumed") for event in EVENTS] for family in FAMILIES}


@pytest.fixture(scope="module")
def troubles(javascript: JavaScript, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str | None]:
    """What went wrong in each cell; None where nothing did."""
    folder: Path = tmp_path_factory.mktemp("families")
    with Weather(folder, has_small_buffers=True, subscriptions_per_caller_max="30") as weather:
        said = javascript.run(
            "weather",
            url=weather.url,
            server=weather.server_url,
            control=weather.control,
            flight=weather.flight,
            subject=customer(),
        )
    cells = [json.loads(line) for line in said.splitlines()]
    return {(cell["family"], cell["event"]): cell["trouble"] for cell in cells}


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gets_every_event_once_and_ends_only_with_its_saga(
    troubles: dict[tuple[str, str], str | None], family: str, event: str
) -> None:
    assert troubles[family, event] is None
