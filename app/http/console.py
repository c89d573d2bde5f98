"""Serves the console and GraphiQL from the build in app/console/static, or plain pages if there is no build.

::

    GET /                     redirects to /saga/test
    GET /saga, /saga/...      the console's one document; the browser chooses the view
    GET /console/assets/...   the files that the documents load; a content hash names them, so they are cached for good
    GET /graphql              GraphiQL's document: GraphQLEndpoint sends it to clients that accept HTML

Only the files that exist at the start are served, so no path leads out of the folder.
Files compressed at build time are sent compressed to clients that accept it.

One build serves beneath every base path (`app.http.base_path`). The files name one another relative to themselves. Only
the documents, which are at many paths, need the base path: it is written into them when they are served, in front of
their files and in `<meta name="base-path">` for their scripts.

Starlette's StaticFiles asks the file system at each request, and does not support precompressed files;
its GZipMiddleware would compress each answer again.

Without a build, /graphql is a plain explorer: one document that loads nothing else.
Its Content-Security-Policy allows only its own script and style, by their hashes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles

from app.http.base_path import base_path_of
from app.http.negotiation import choose_encoding

__all__ = ["STATIC", "Console", "explorer_page", "inline_hashes", "refusing_page"]

#: The folder that the build writes to; vite.config.ts names the same one.
STATIC: Final = Path(str(files("app"))) / "console" / "static"
_HOME: Final = "/saga/test"
_SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
}
_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "worker-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
#: Compares If-None-Match and If-Modified-Since; it serves nothing.
_VALIDATORS: Final = StaticFiles()
#: The test console shows the sandbox's page for a card's holder in a dialog.
_CONSOLE_POLICY: Final = {**_POLICY, "frame-src": "'self'"}
#: Monaco, GraphiQL's editor, draws every line with style attributes and makes its themes from <style> elements.
#: Neither can have a nonce or a hash.
_GRAPHIQL_POLICY: Final = {**_POLICY, "style-src": "'self' 'unsafe-inline'"}


@dataclass(frozen=True, slots=True)
class _Built:
    """A built file, and the encodings of its compressed copies."""

    path: Path
    media_type: str
    encodings: tuple[str, ...]

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The file in the client's encoding, or 304 if the client has it already."""
        encoding = choose_encoding(request.headers.get("accept-encoding"), self.encodings)
        path = self.path if encoding is None else self.path.with_name(self.path.name + _SUFFIXES[encoding])
        encoded = {} if encoding is None else {"Content-Encoding": encoding}
        response = FileResponse(
            path, media_type=self.media_type, headers={**headers, **encoded}, stat_result=path.stat()
        )
        return _unless_known(request, response)


@dataclass(frozen=True, slots=True)
class _Document:
    """A document for one base path."""

    plain: bytes
    zipped: bytes
    tag: str

    @classmethod
    def of(cls, html: str, base_path: str) -> _Document:
        """The document beneath this base path."""
        plain = _beneath(html, base_path).encode()
        return cls(plain, gzip.compress(plain, mtime=0), hashlib.sha256(plain).hexdigest()[:32])

    def response(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The document in the client's encoding, or 304 if the client has it already."""
        if choose_encoding(request.headers.get("accept-encoding"), ("gzip",)) is None:
            body, encoded = self.plain, {"ETag": f'"{self.tag}"'}
        else:
            body, encoded = self.zipped, {"ETag": f'"{self.tag}-gzip"', "Content-Encoding": "gzip"}
        return _unless_known(request, HTMLResponse(body, headers={**headers, **encoded}))


def _beneath(html: str, base_path: str) -> str:
    """The document with addresses beneath the base path: of its files, and of the server's pages that it names."""
    for written, served in (
        ('="./', f'="{base_path}/console/'),
        ('href="/graphql"', f'href="{base_path}/graphql"'),
        ('href="/saga/test"', f'href="{base_path}/saga/test"'),
        ('name="base-path" content=""', f'name="base-path" content="{base_path}"'),
    ):
        html = html.replace(written, served)
    return html


def _unless_known(request: Request, response: Response) -> Response:
    """The response, or 304 if the client has it already."""
    if not _VALIDATORS.is_not_modified(response.headers, request.headers):
        return response
    # With all headers, also the policy: a browser takes those of a 304 for the file that it has kept.
    kept = {name: value for name, value in response.headers.items() if not name.startswith("content-length")}
    return Response(status_code=304, headers=kept)


class Console:
    """The documents and their files in `folder`, as they are when the object is created."""

    def __init__(self, folder: Path = STATIC) -> None:
        self._files = _built(folder)
        self._documents = {
            name: built.path.read_text("utf-8") for name, built in self._files.items() if built.path.suffix == ".html"
        }
        # A trusted proxy may report any base path.
        self._document_at = lru_cache(maxsize=16)(self._document_beneath)

    @property
    def is_built(self) -> bool:
        """Whether the documents exist; otherwise plain pages are served."""
        return "index.html" in self._documents and "graphql.html" in self._documents

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes except GraphiQL's, which shares its path with the API."""
        return [
            Route("/", self._home),
            Route("/saga", self._document),
            Route("/saga/{view:path}", self._document),
            Route("/console/{name:path}", self._asset),
        ]

    def graphiql(self, request: Request) -> Response:
        """The page at /graphql."""
        if not self.is_built:
            return explorer_page()
        document = self._document_at("graphql.html", base_path_of(request.scope))
        return document.response(request, _document_headers(_GRAPHIQL_POLICY, vary="Accept, Accept-Encoding"))

    async def _home(self, request: Request) -> Response:
        return RedirectResponse(base_path_of(request.scope) + _HOME, headers={"Cache-Control": "no-cache"})

    async def _document(self, request: Request) -> Response:
        headers = _document_headers(_CONSOLE_POLICY, vary="Accept-Encoding")
        base_path = base_path_of(request.scope)
        if self.is_built:
            return self._document_at("index.html", base_path).response(request, headers)
        page = files("app.http").joinpath("pages", "not-built.html").read_text("utf-8")
        return HTMLResponse(_beneath(page, base_path), headers=headers)

    def _document_beneath(self, name: str, base_path: str) -> _Document:
        return _Document.of(self._documents[name], base_path)

    async def _asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        built = self._files.get(name)
        if built is None or not name.startswith("assets/"):
            raise HTTPException(404)
        return built.response(
            request,
            {
                # A worker takes its policy from its own script's answer.
                "Content-Security-Policy": _joined(_POLICY),
                "Cache-Control": "public, max-age=31536000, immutable",
                "Vary": "Accept-Encoding",
                "X-Content-Type-Options": "nosniff",
            },
        )


def _built(folder: Path) -> dict[str, _Built]:
    """Every file whose type is served, by its path within `folder`."""
    return {
        path.relative_to(folder).as_posix(): _Built(
            path,
            _MEDIA_TYPES[path.suffix],
            tuple(name for name, suffix in _SUFFIXES.items() if path.with_name(path.name + suffix).is_file()),
        )
        for path in folder.rglob("*")
        if path.suffix in _MEDIA_TYPES
    }


def _document_headers(policy: Mapping[str, str], *, vary: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": _joined(policy),
        "Cache-Control": "no-cache",
        "Vary": vary,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _joined(policy: Mapping[str, str]) -> str:
    return "; ".join(f"{directive} {sources}" for directive, sources in policy.items())


def explorer_page() -> Response:
    """The page, with a policy that allows only its own script and style."""
    html, policy = _page()
    return HTMLResponse(
        html,
        headers={
            "Content-Security-Policy": policy,
            "Vary": "Accept",
            "Cache-Control": "no-cache",
        },
    )


def refusing_page(request: Request) -> Response:
    """The page in place of GraphiQL where only trusted documents run."""
    page = files("app.http").joinpath("pages", "trusted-only.html").read_text("utf-8")
    return HTMLResponse(_beneath(page, base_path_of(request.scope)), headers=_document_headers(_POLICY, vary="Accept"))


@cache
def _page() -> tuple[str, str]:
    html = files("app.http").joinpath("pages", "explorer.html").read_text("utf-8")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {inline_hashes(html, 'script')}",
            f"style-src {inline_hashes(html, 'style')}",
            "connect-src 'self' ws: wss:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    return html, policy


def inline_hashes(html: str, tag: str) -> str:
    """The sources, for a Content-Security-Policy, that allow every inline `tag` of the document."""
    contents = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = (hashlib.sha256(content.encode()).digest() for content in contents)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
