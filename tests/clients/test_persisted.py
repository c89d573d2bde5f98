"""Apollo's and urql's own links for persisted queries, against real servers with each setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.javascript import JavaScript
from tests.clients.tokens import SECRET, customer, token
from tests.support.children import Child, environment, serving_child

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_links_send_texts_where_the_server_keeps_no_documents(javascript: JavaScript, server: Child) -> None:
    javascript.run("persisted", url=server.url, token=token(customer()), setting="off")


@pytest.mark.parametrize("setting", ["automatic", "only"])
async def test_the_links_send_a_text_once_and_hashes_from_then_on(
    javascript: JavaScript, tmp_path: Path, setting: str
) -> None:
    trusted = tmp_path / "airports.graphql"
    trusted.write_text("query Airports { airports { code } }")
    settings = {"trusted_documents": str(trusted)} if setting == "only" else {}
    env = environment(tmp_path, auth="jwt", jwt_secret=SECRET, persisted_queries=setting, **settings)
    async with serving_child(tmp_path, env) as server:
        javascript.run("persisted", url=server.url, token=token(customer()), setting=setting)
