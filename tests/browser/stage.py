"""A server that stories may stop and start again, and how one story is told."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.browser.chromium import CONSOLE, chromium
from tests.support.children import Child, environment, fill, seatsaga, serving_child

__all__ = ["Stage", "stories"]

STORY_SECONDS_MAX: Final = 120
CLOSING_SECONDS_MAX: Final = 10
_TOKEN: Final = "the-operator-of-these-stories"
_STORY: Final = re.compile(r"^story\(", re.MULTILINE)
_NAME: Final = re.compile(r"^story\(\s*(['\"])(.+?)\1", re.MULTILINE)


def stories(file: str) -> pytest.MarkDecorator:
    """Parametrise a test by the names of the stories in one file of console/browser."""
    text = (CONSOLE / "browser" / f"{file}.js").read_text()
    names = [name for _, name in _NAME.findall(text)]
    assert names, f"{file}.js tells no story"
    assert len(names) == len(_STORY.findall(text)), f"{file}.js has a story whose name is not found"
    return pytest.mark.parametrize(("file", "story"), [(file, name) for name in names], ids=names)


class Stage:
    """A server with a folder of its own, which starts again there and on the same port; and one browser.

    The browser is started by the first story, and again after a story that took too long. `settings` are the server's.
    `variables`: others of its environment. `errands`: what a story may ask for, besides a server that stops or starts.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        *,
        variables: Mapping[str, str] | None = None,
        errands: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    ) -> None:
        self._folder = folder
        self._env = environment(folder, admin_token=_TOKEN, **settings) | dict(variables or {})
        self._base_path = settings.get("base_path", "")
        self._has_tokens = settings.get("auth") == "jwt"
        self._errands = {"server: stop": self.stop, "server: start": self.start, **(errands or {})}
        self._running = AsyncExitStack()
        self._server: Child | None = None
        self._teller: asyncio.subprocess.Process | None = None

    #: The operator's.
    token: Final = _TOKEN

    @property
    def url(self) -> str:
        """The running server's."""
        assert self._server is not None
        return self._server.url + self._base_path

    async def command(self, *arguments: str) -> str:
        """What a command prints that an operator runs beside the server; fails where it does."""
        ended = await asyncio.to_thread(seatsaga, *arguments, env=self._env, folder=self._folder)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    async def start(self) -> None:
        """Serve, from where the last server stopped."""
        port = None if self._server is None else self._server.port
        if port is None and self._has_tokens:
            await asyncio.to_thread(fill, self._env, self._folder)
        self._server = await self._running.enter_async_context(serving_child(self._folder, self._env, port=port))

    async def stop(self) -> None:
        """End the server as SIGTERM does, if it runs."""
        if self._server is not None and self._server.process.poll() is None:
            self._server.terminate()
        await self._running.aclose()

    async def close(self) -> None:
        """End the browser, and the server."""
        await self._end_teller()
        await self.stop()

    async def tell(self, file: str, story: str, *, seconds_max: int = STORY_SECONDS_MAX) -> None:
        """Have one story told to its end; fails with what it fails with."""
        try:
            async with asyncio.timeout(seconds_max):
                said = await self._told(f"{file} {story}")
        except TimeoutError:
            await self._end_teller()
            pytest.fail(f"It took longer than {seconds_max} s.", pytrace=False)
        if said:
            pytest.fail(said, pytrace=False)

    async def _told(self, story: str) -> str:
        """What there is to say against the story; on the way, do what it asks of the server."""
        teller = self._teller = self._teller or await self._start_teller()
        assert teller.stdin is not None
        assert teller.stdout is not None
        teller.stdin.write(f"{story}\n".encode())
        said: list[str] = []
        async for line in teller.stdout:
            match line.decode().rstrip():
                case errand if errand in self._errands:
                    await self._errands[errand]()
                    teller.stdin.write(b"done\n")
                case "told: well":
                    return ""
                case "told: badly":
                    return "\n".join(said)
                case other:
                    said.append(other)
        self._teller = None
        return "\n".join([*said, f"The browser's process ended with {await teller.wait()}."])

    async def _start_teller(self) -> asyncio.subprocess.Process:
        where = {
            "SEATSAGA_URL": self.url,
            "SEATSAGA_TOKEN": _TOKEN,
            "SEATSAGA_CHROMIUM": chromium() or "",
        }
        return await asyncio.create_subprocess_exec(
            "node",
            "browser/run.js",
            cwd=CONSOLE,
            env=os.environ | where,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # So that its browser can be ended with it.
            start_new_session=True,
        )

    async def _end_teller(self) -> None:
        teller, self._teller = self._teller, None
        if teller is None:
            return
        assert teller.stdin is not None
        teller.stdin.close()
        try:
            await asyncio.wait_for(teller.wait(), CLOSING_SECONDS_MAX)
        except TimeoutError:
            os.killpg(teller.pid, signal.SIGKILL)
            await teller.wait()
