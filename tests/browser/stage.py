"""A server that stories may stop and start again, and how one story is told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.browser.chromium import FRONTEND, chromium
from tests.support.children import Child, environment, serving_child

__all__ = ["Stage", "stories"]

STORY_SECONDS_MAX: Final = 120
_TOKEN: Final = "the-operator-of-these-stories"
_NAME: Final = re.compile(r"^story\('([^']+)'", re.MULTILINE)


def stories(file: str) -> pytest.MarkDecorator:
    """Parametrise a test by the names of the stories in one file of app/console/frontend/browser."""
    names = _NAME.findall((FRONTEND / "browser" / f"{file}.js").read_text())
    assert names, f"{file}.js tells no story"
    return pytest.mark.parametrize(("file", "story"), [(file, name) for name in names], ids=names)


class Stage:
    """A server with a folder of its own; after a stop it starts again there, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = environment(folder, admin_token=_TOKEN)
        self._running = AsyncExitStack()
        self._server: Child | None = None

    async def start(self) -> None:
        """Serve, from where the last server stopped."""
        port = None if self._server is None else self._server.port
        self._server = await self._running.enter_async_context(serving_child(self._folder, self._env, port=port))

    async def stop(self) -> None:
        """End the server as SIGTERM does, if it runs."""
        if self._server is not None and self._server.process.poll() is None:
            self._server.terminate()
        await self._running.aclose()

    async def tell(self, file: str, story: str) -> None:
        """Run one story to its end; fails with what it fails with."""
        server = self._server
        assert server is not None
        process = await asyncio.create_subprocess_exec(
            "node",
            "browser/run.js",
            file,
            story,
            cwd=FRONTEND,
            env=os.environ
            | {"SEATSAGA_URL": server.url, "SEATSAGA_TOKEN": _TOKEN, "SEATSAGA_CHROMIUM": chromium() or ""},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # So that its browser can be ended with it.
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(STORY_SECONDS_MAX):
                said = await self._attend(process)
                await process.wait()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            pytest.fail(said, pytrace=False)

    async def _attend(self, process: asyncio.subprocess.Process) -> str:
        """Do what the story asks of the server; the rest of what it says is returned."""
        assert process.stdout is not None
        assert process.stdin is not None
        said: list[str] = []
        async for line in process.stdout:
            match line.decode().strip():
                case "server: stop":
                    await self.stop()
                case "server: start":
                    await self.start()
                case other:
                    said.append(other)
                    continue
            process.stdin.write(b"done\n")
        return "\n".join(said)
