"""The console's documents and files over a real server, built and not built."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.routing import Route

from app.http.console import Console
from tests.support.children import environment, serving_child
from tests.support.serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = b"export const answer = 42;\n"
FILES = {
    "index.html": b"<!doctype html><title>console</title>",
    "graphql.html": b"<!doctype html><title>GraphiQL</title>",
    "assets/index-abc123.js": SCRIPT,
    "assets/index-abc123.js.br": b"as brotli has it",
    "assets/index-abc123.js.gz": gzip.compress(SCRIPT),
    "assets/icons-def456.ttf": b"\x00\x01\x00\x00",
    "assets/notes.txt": b"not of a type that is served",
    ".complete": b"",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("build") / "static"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder.parent / "secret.js").write_text("outside")
    async with serving(_app(Console(folder))) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        yield client


def _app(console: Console) -> Starlette:
    return Starlette(routes=[*console.routes, Route("/graphql", console.graphiql)])


# ---------------------------------------------------------------------- documents


@pytest.mark.parametrize("path", ["/saga", "/saga/", "/saga/test", "/saga/0198f3c2-7b1e", "/saga/test/0198f3c2-7b1e"])
async def test_every_view_is_the_same_document_asked_for_anew_each_time(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, response.content) == (200, FILES["index.html"])
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"


async def test_the_root_leads_to_the_test_console(client: httpx.AsyncClient) -> None:
    response = await client.get("/")

    assert (response.status_code, response.headers["location"]) == (307, "/saga/test")


async def test_documents_may_load_only_what_is_ours_and_run_nothing_inline(client: httpx.AsyncClient) -> None:
    response = await client.get("/saga/test")

    policy = _policy(response)
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "font-src", "worker-src")} == {"'self'"}
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    # The page of a card's holder; no other page of ours lets itself be framed.
    assert policy["frame-src"] == "'self'"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


async def test_graphiql_alone_may_style_inline(client: httpx.AsyncClient) -> None:
    response = await client.get("/graphql")

    assert response.content == FILES["graphql.html"]
    policy = _policy(response)
    assert policy.pop("style-src") == "'self' 'unsafe-inline'"
    assert "frame-src" not in policy
    assert not any("unsafe" in sources for sources in policy.values())
    assert response.headers["vary"] == "Accept, Accept-Encoding"


async def test_a_document_is_only_read(client: httpx.AsyncClient) -> None:
    response = await client.post("/saga/test")

    assert response.status_code == 405


async def test_where_nothing_was_built_a_plain_page_says_how_to(tmp_path: Path) -> None:
    async with serving(_app(Console(tmp_path))) as served, httpx.AsyncClient(base_url=served.url) as client:
        page, explorer, asset = [await client.get(path) for path in ("/saga/test", "/graphql", "/console/assets/x.js")]

    assert page.status_code == 200
    assert "make setup" in page.text
    assert _policy(page)["default-src"] == "'none'"
    assert "<style" not in page.text
    assert "<script" not in page.text
    assert "seatsaga GraphQL" in explorer.text
    assert asset.status_code == 404


async def test_the_start_says_where_the_console_is_or_what_it_needs(tmp_path: Path) -> None:
    async with serving_child(tmp_path, environment(tmp_path)) as child:
        said = child.output.read_text()

    built = f"console: {child.url}/saga/test" in said
    assert built == Console().is_built
    assert built or "console: not built; install Node" in said


# ---------------------------------------------------------------------- files


async def test_what_is_named_by_its_contents_is_kept_for_good(client: httpx.AsyncClient) -> None:
    response = await client.get("/console/assets/index-abc123.js", headers={"accept-encoding": "identity"})

    assert (response.status_code, response.content) == (200, SCRIPT)
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["x-content-type-options"] == "nosniff"
    # A worker's policy is that of its own script.
    assert _policy(response)["default-src"] == "'none'"


@pytest.mark.parametrize(
    ("accepted", "encoding", "suffix"),
    [
        ("gzip, deflate, br, zstd", "br", ".br"),
        ("gzip, deflate", "gzip", ".gz"),
        ("br;q=0.5, gzip", "gzip", ".gz"),
        ("br;q=0, *", "gzip", ".gz"),
        ("*", "br", ".br"),
        ("", None, ""),
        ("zstd", None, ""),
        ("gzip;q=0", None, ""),
        ("identity, gzip;q=0.5", None, ""),
    ],
)
async def test_a_file_goes_out_as_it_was_compressed_to_who_accepts_that(
    served: Served, accepted: str, encoding: str | None, suffix: str
) -> None:
    head, body = await _get(served, "/console/assets/index-abc123.js", f"Accept-Encoding: {accepted}")

    assert head.get("content-encoding") == encoding
    assert body == FILES[f"assets/index-abc123.js{suffix}"]
    assert head["vary"] == "Accept-Encoding"


async def test_what_was_not_compressed_goes_out_as_it_is(client: httpx.AsyncClient) -> None:
    response = await client.get("/console/assets/icons-def456.ttf", headers={"accept-encoding": "br"})

    assert "content-encoding" not in response.headers
    assert response.headers["content-type"] == "font/ttf"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_browser_that_has_the_document_is_told_so_with_the_same_headers(
    client: httpx.AsyncClient, encoding: str
) -> None:
    wanted = {"accept": "text/html", "accept-encoding": encoding}
    for path in ("/saga/test", "/graphql"):
        first = await client.get(path, headers=wanted)
        known = await client.get(path, headers={**wanted, "if-none-match": first.headers["etag"]})
        other = await client.get(path, headers={**wanted, "if-none-match": '"another"'})

        assert [each.status_code for each in (first, known, other)] == [200, 304, 200]
        # The base path may change without the file.
        assert "last-modified" not in first.headers
        assert known.content == b""
        # A browser replaces the headers of its copy by these.
        for name in ("content-security-policy", "cache-control", "vary", "etag", "x-content-type-options"):
            assert known.headers[name] == first.headers[name]


async def test_head_says_what_get_would_without_the_body(client: httpx.AsyncClient) -> None:
    for path in ("/saga/test", "/console/assets/index-abc123.js"):
        answers = [await client.request(method, path) for method in ("HEAD", "GET")]
        head, got = ({name: value for name, value in a.headers.items() if name != "date"} for a in answers)

        assert head == got
        assert answers[0].content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/console/assets/none.js",
        "/console/assets/",
        "/console/",
        "/console/index.html",
        "/console/assets/index-abc123.js.br",
        "/console/assets/notes.txt",
        "/console/.complete",
        "/console/../secret.js",
        "/console/assets/../../secret.js",
        "/console/%2e%2e/secret.js",
        "/console/assets/..%2f..%2fsecret.js",
        "/console/assets/..%5c..%5csecret.js",
        "/console//etc/passwd",
        "/console/assets/index-abc123.js%00",
    ],
)
async def test_nothing_else_is_served_and_no_path_leads_out(served: Served, path: str) -> None:
    head, body = await _get(served, path)

    assert head["status"] == "404"
    assert b"outside" not in body
    assert SCRIPT not in body


async def _get(served: Served, path: str, *headers: str) -> tuple[dict[str, str], bytes]:
    """The answer to a path as it is written here; `status` is among its headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", "")
    writer.write("\r\n".join(lines).encode())
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    status, *fields = head.decode().split("\r\n")
    return {"status": status.split()[1]} | {
        field.partition(": ")[0].lower(): field.partition(": ")[2] for field in fields
    }, body


def _policy(response: httpx.Response) -> dict[str, str]:
    directives = (directive.partition(" ") for directive in response.headers["content-security-policy"].split("; "))
    return {name: sources for name, _, sources in directives}
