"""The test console before a server that injects no faults, takes one mutation at a time, and trusts few documents."""

from pathlib import Path

import pytest

from tests.browser.stage import Stage, stories

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One mutation, and the next in three seconds; and no documents but the console's and one more."""
    trusted: Path = tmp_path_factory.mktemp("trusted")
    (trusted / "airports.graphql").write_text("{ airports { code } }")
    return {
        "simulation": "off",
        "mutations_per_minute_max": "20",
        "mutations_burst_max": "1",
        "persisted_queries": "only",
        "trusted_documents": str(trusted),
    }


@stories("strict-server")
async def test_a_strict_server(stage: Stage, file: str, story: str) -> None:
    await stage.tell(file, story)
