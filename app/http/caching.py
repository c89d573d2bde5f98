"""Caching of answers that are the same for everybody: queries by GET that name their document by its hash.

A cache may keep such an answer for some seconds; after that it asks with the ETag, and gets 304 if nothing changed. All
other answers are `no-store` (see `browser_safety`). An answer to a request with a token is for the cache of that caller
alone, because without the token the request may be refused.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

__all__ = ["kept_for"]

#: What the answer depends on besides the address. Origin: a page of another origin needs its own CORS headers.
_VARY: Final = "Accept, Authorization, Origin"
#: Compares If-None-Match; it serves nothing.
_VALIDATORS: Final = StaticFiles()


def kept_for(seconds: int, request: Request, response: Response) -> Response:
    """The response, which caches may keep for so long; or 304 if the client has it."""
    scope = "private" if "authorization" in request.headers else "public"
    tag = sha256(response.headers["content-type"].encode() + b"\n" + bytes(response.body)).hexdigest()[:32]
    response.headers.update({"Cache-Control": f"{scope}, max-age={seconds}", "ETag": f'"{tag}"', "Vary": _VARY})
    if not _VALIDATORS.is_not_modified(response.headers, request.headers):
        return response
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    return Response(status_code=304, headers=kept)
