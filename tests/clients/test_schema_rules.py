"""graphql-eslint's recommended and Relay rules hold for our schema, but for what docs/api.md argues."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.clients.javascript import FOLLOW, missing, run
from tests.support.required import require

ROOT = Path(__file__).parents[2]
CLIENTS = FOLLOW.parent
ESLINT = CLIENTS / "node_modules" / "eslint" / "bin" / "eslint.js"


@pytest.fixture
def eslint() -> list[str]:
    installed = missing() if ESLINT.exists() else "eslint is not installed; run: make clients"
    require("CLIENTS", installed)
    return ["node", str(ESLINT), "--config", str(CLIENTS / "eslint.config.js")]


async def test_the_schema_follows_the_rules(eslint: list[str]) -> None:
    assert await asyncio.to_thread(run, [*eslint, "schema/schema.graphql"], None, ROOT) == ""


async def test_what_is_off_is_argued() -> None:
    config = (CLIENTS / "eslint.config.js").read_text("utf-8")
    argued = (ROOT / "docs" / "api.md").read_text("utf-8")
    for rule in ("relay-edge-types", "strict-id-in-types"):
        assert f"@graphql-eslint/{rule}" in config
        assert f"`{rule}`" in argued
    assert config.count("@graphql-eslint/") == 2 + 1
