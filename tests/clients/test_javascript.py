"""Every JavaScript client that docs/clients.md shows, and the audits of graphql-http, against a real server.

What each client must bring about is told in clients/src/story.ts.
"""

from __future__ import annotations

import pytest

from tests.clients.javascript import JavaScript
from tests.clients.tokens import customer, token
from tests.support.children import Child

CLIENTS = (
    "apollo-multipart",
    "apollo-split",
    "fetch",
    "graphql-sse",
    "graphql-ws",
    "relay",
    "urql-sse",
    "urql-websocket",
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_books_follows_over_a_lost_connection_reads_all_pages_and_is_told_what_to_mend(
    javascript: JavaScript, server: Child, client: str
) -> None:
    javascript.run(client, url=server.url, token=token(customer()))


async def test_a_socket_whose_token_runs_out_goes_on_with_the_next_one(javascript: JavaScript, server: Child) -> None:
    subject = customer()
    javascript.run("expiry", url=server.url, expiring_token=token(subject, seconds=2), token=token(subject))


async def test_all_audits_of_graphql_over_http_are_ok(javascript: JavaScript, server: Child) -> None:
    said = javascript.run("audits", url=server.url, token=token(customer()))
    assert "61 of 61 audits ok" in said
