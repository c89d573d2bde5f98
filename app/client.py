"""The commands' way to a running server: the client library, in shorter words, and a page's form."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urljoin

import httpx
from seatsaga_client import ApiError, AsyncClient, Timing, documents

__all__ = ["Client", "ServerError", "remedied"]

#: A command that is run by hand does not repeat a request for long.
TIMING: Final = Timing(backoff_max=1.0, give_up=15.0)
#: What the library sends; the server trusts it as it trusts the commands' own.
DOCUMENTS: Final = documents()
_REACH: Final = "{ sagaDefinitions { name } }"


class ServerError(Exception):
    """A command cannot go on; the message says why and what to do."""


class Client(AsyncClient):
    """Talks to the server at `url`. `token`: that of a customer or of the operators, if one is needed."""

    def __init__(self, url: str, token: str | None = None) -> None:
        super().__init__(url, token, timing=TIMING)

    async def reach(self) -> None:
        """Raises ApiError at once if no server is there, or refuses us: what may be repeated is tried for a while."""
        await self.query(_REACH)

    def address(self, path: str) -> str:
        """The whole URL of a page that the server names, by its path or already whole."""
        return urljoin(f"{self.url}/", path)

    async def query(self, document: str, **variables: Any) -> dict[str, Any]:
        """The data of one query or mutation."""
        return await self.execute(document, variables)

    async def look(self, document: str, **variables: Any) -> dict[str, Any]:
        """As `query`, for operations that may be repeated: retries for a while if the server is unavailable."""
        return await self.execute(document, variables, retry=True)

    async def submit(self, path: str, **form: str) -> None:
        """Submit the form of one of the server's own pages. Raises ServerError if the page does not take it."""
        if not path.startswith("/"):
            raise ServerError(f"{path} is no page of {self.url}.")
        try:
            response = await self._http.post(self.address(path), data=form)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise ServerError(f"{self.url} answers {response.status_code} to the form of a page.")


def remedied(error: ApiError) -> str:
    """What the server says, and what to do about it at a terminal."""
    match error.code:
        case "DISCONNECTED":
            return f"{error.message} Start one with: seatsaga serve"
        case "UNAUTHENTICATED":
            return (
                f"{error.message} Set SEATSAGA_TOKEN to a customer's token, or SEATSAGA_ADMIN_TOKEN to the operators'."
            )
        case _:
            return error.message
