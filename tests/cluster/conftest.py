"""A PostgreSQL server of these tests' own, as they stop it and read its log, and three replicas on a database there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cluster.postgres import PostgresServer
from tests.cluster.stage import Stage, staged


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """What is committed there outlives any kill, the server's own too."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
async def stage(server: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Three replicas on `server`, each over a link that can be cut, behind one proxy."""
    async with staged(tmp_path, server, seed=request.node.name) as stage:
        yield stage
