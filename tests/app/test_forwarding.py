"""From where a request comes is believed of proxies that are named; without authentication nothing else is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from app.http.forwarding import Forwarding, is_from_proxy
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.support.sockets import Socket

PROXY: Final = "10.0.0.5"
PROXIES: Final = (PROXY, "10.1.0.0/16", "2001:db8::/32")
QUERY: Final = {"query": "{ __typename }"}
INIT: Final = {"type": "connection_init"}


async def seen(peer: str | None, kind: str = "http", **headers: str) -> tuple[Any, str, bool]:
    """Where the application finds a request to come from, by which scheme, and whether through a proxy."""
    found = await forwarded(peer, kind, **headers)
    return (found["client"] or (None,))[0], found["scheme"], is_from_proxy(found)


async def host_seen(peer: str, **headers: str) -> str:
    """The Host that the application finds, where the proxy sends its own."""
    found = await forwarded(peer, **{"host": "inner:8000"} | headers)
    return Headers(scope=found).get("host", "none")


async def forwarded(peer: str | None, kind: str = "http", **headers: str) -> Scope:
    """The scope that the application gets."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    scope: Scope = {
        "type": kind,
        "scheme": "http" if kind == "http" else "ws",
        "client": None if peer is None else (peer, 4711),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def unused(*_: Any) -> Any:
        raise AssertionError("nothing is read or sent")

    await Forwarding(app, proxies=PROXIES)(scope, unused, unused)
    (found,) = scopes
    return found


@pytest.mark.parametrize(
    ("headers", "client", "scheme"),
    [
        ({}, PROXY, "http"),
        ({"x_forwarded_for": "192.0.2.1", "x_forwarded_proto": "https"}, "192.0.2.1", "https"),
        ({"x_forwarded_for": "6.6.6.6, 192.0.2.1, 10.1.2.3"}, "192.0.2.1", "http"),
        ({"x_forwarded_proto": "javascript"}, PROXY, "http"),
        ({"x_forwarded_proto": "HTTPS"}, PROXY, "https"),
        ({"x_forwarded_proto": "wss"}, PROXY, "https"),
        ({"x_forwarded_for": "192.0.2.1, 10.1.2.3", "x_forwarded_proto": "https, http"}, "192.0.2.1", "https"),
        ({"x_forwarded_for": "192.0.2.1", "x_forwarded_proto": "https, http"}, "192.0.2.1", "http"),
        ({"x_forwarded_for": "192.0.2.1, 10.1.2.3", "x_forwarded_proto": "https"}, "192.0.2.1", "https"),
        ({"x_forwarded_for": "192.0.2.1:4711"}, "192.0.2.1", "http"),
        ({"x_forwarded_for": "2001:DB9::1"}, "2001:db9::1", "http"),
        ({"x_forwarded_for": "[2001:db9::1]"}, "2001:db9::1", "http"),
        ({"x_forwarded_for": "[2001:db9::1]:4711"}, "2001:db9::1", "http"),
        ({"x_forwarded_for": "192.0.2.1, ::ffff:10.1.2.3"}, "192.0.2.1", "http"),
        ({"x_forwarded_for": "unknown"}, "unknown", "http"),
        ({"x_forwarded_for": "192.0.2.1, unknown"}, "unknown", "http"),
        ({"x_forwarded_for": "localhost, 300.1.1.1"}, PROXY, "http"),
        ({"x_forwarded_for": "192.0.2.1, <script>"}, PROXY, "http"),
        ({"x_forwarded_for": ", ,"}, PROXY, "http"),
        ({"x_forwarded_for": "_" + "a" * 100}, PROXY, "http"),
        ({"forwarded": "for=192.0.2.1;proto=https;by=10.0.0.5"}, "192.0.2.1", "https"),
        ({"forwarded": 'For="[2001:db9::1]:4711"'}, "2001:db9::1", "http"),
        ({"forwarded": 'for="192.0.2.1:80"'}, "192.0.2.1", "http"),
        (
            {"forwarded": "for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.1.2.3;proto=http"},
            "192.0.2.1",
            "https",
        ),
        ({"forwarded": "for=10.1.2.3, for=10.1.2.4"}, "10.1.2.3", "http"),
        ({"forwarded": "for=_hidden;proto=ftp"}, "_hidden", "http"),
        ({"forwarded": "for=192.0.2.1", "x_forwarded_for": "192.0.2.2"}, "192.0.2.2", "http"),
        ({"forwarded": '=;,"'}, PROXY, "http"),
        ({"forwarded": 'for=6.6.6.6;by=", for="[2001:db9::1]"'}, PROXY, "http"),
        ({"forwarded": 'for=6.6.6.6;by=", for=192.0.2.1'}, PROXY, "http"),
        ({"forwarded": r'for=6.6.6.6;by="\", for=\"", for=192.0.2.1;x-trace-id="a,b"'}, "192.0.2.1", "http"),
        ({"forwarded": ""}, PROXY, "http"),
    ],
)
async def test_a_proxy_that_is_named_is_believed(headers: dict[str, str], client: str, scheme: str) -> None:
    assert await seen(PROXY, **headers) == (client, scheme, True)


@pytest.mark.parametrize("header", ["a" * 60_000, "a=" * 30_000, 'a="' * 20_000, "a=b," * 15_000, "[" + ":1" * 30_000])
async def test_whatever_a_client_writes_for_its_proxy_to_pass_on_is_read_in_time_linear_in_its_length(
    header: str,
) -> None:
    began = time.process_time()
    await seen(PROXY, forwarded=header)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("headers", "host"),
    [
        ({}, "inner:8000"),
        ({"x_forwarded_host": "shop.example"}, "shop.example"),
        ({"x_forwarded_host": "shop.example:8443"}, "shop.example:8443"),
        ({"x_forwarded_host": "[2001:db9::1]:8443"}, "[2001:db9::1]:8443"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "8443"}, "shop.example:8443"),
        ({"x_forwarded_host": "shop.example:81", "x_forwarded_port": "8443"}, "shop.example:81"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "443"}, "shop.example"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "80"}, "shop.example"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "0"}, "shop.example"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "99999"}, "shop.example"),
        ({"x_forwarded_host": "shop.example", "x_forwarded_port": "8443x"}, "shop.example"),
        ({"host": "shop.example", "x_forwarded_port": "8443"}, "shop.example:8443"),
        ({"host": "[2001:db9::1]", "x_forwarded_port": "8443"}, "[2001:db9::1]:8443"),
        ({"x_forwarded_for": "192.0.2.1, 10.1.2.3", "x_forwarded_host": "shop.example, edge"}, "shop.example"),
        ({"x_forwarded_for": "192.0.2.1", "x_forwarded_host": "evil.example, shop.example"}, "shop.example"),
        ({"forwarded": 'for=192.0.2.1;host="shop.example:8443"'}, "shop.example:8443"),
        ({"forwarded": "for=192.0.2.1;host=shop.example, for=10.1.2.3;host=edge"}, "shop.example"),
        ({"forwarded": "for=6.6.6.6;host=evil.example, for=192.0.2.1;host=shop.example"}, "shop.example"),
        ({"x_forwarded_host": "shop.example/path"}, "inner:8000"),
        ({"x_forwarded_host": "evil@shop.example"}, "inner:8000"),
        ({"x_forwarded_host": "[::1"}, "inner:8000"),
        ({"x_forwarded_host": ""}, "inner:8000"),
    ],
)
async def test_a_proxy_that_is_named_says_which_host_was_asked(headers: dict[str, str], host: str) -> None:
    assert await host_seen(PROXY, **headers) == host
    assert await host_seen("10.0.0.6", **headers) == headers.get("host", "inner:8000")


async def test_so_are_networks_and_sockets() -> None:
    assert await seen("10.1.200.3", x_forwarded_for="192.0.2.1") == ("192.0.2.1", "http", True)
    assert await seen("2001:db8::7", "websocket", forwarded="for=192.0.2.1;proto=https") == ("192.0.2.1", "wss", True)


@pytest.mark.parametrize("peer", ["10.0.0.6", "127.0.0.1", "2001:db9::1", None])
async def test_nobody_else_is(peer: str | None) -> None:
    headers = {"x_forwarded_for": "192.0.2.1", "x_forwarded_proto": "https", "forwarded": "for=192.0.2.1;proto=https"}
    assert await seen(peer, **headers) == (peer, "http", False)


# ---------------------------------------------------------------------- without authentication


async def handshake(served: Whole, **headers: str) -> int:
    """The status of the answer to a socket's handshake."""
    url = f"{served.served.socket_url}/graphql"
    try:
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    """Served without authentication, to pages of a shop, too."""
    folder = tmp_path_factory.mktemp("shop")
    async with whole(sqlite_template, folder, allowed_origins="https://shop.example") as served:
        yield served


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"])
async def test_what_was_forwarded_is_refused(shop: Whole, header: str) -> None:
    for path in ("/graphql?query={__typename}", "/saga/test", "/healthz", "/admin/scheduler"):
        response = await shop.http.get(path, headers={header: "192.0.2.1"})
        assert response.status_code == 403
        assert "SEATSAGA_FORWARDED_ALLOW_IPS" in response.json()["detail"]
    assert await handshake(shop, **{header: "192.0.2.1"}) == 403
    assert await handshake(shop) == 101


async def test_unless_by_a_proxy_that_is_named_and_then_callers_are_told_apart(
    sqlite_template: Path, tmp_path: Path
) -> None:
    settings = {"forwarded_allow_ips": "127.0.0.1", "sockets_per_caller_max": 1}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        response = await served.http.post("/graphql", json=QUERY, headers={"X-Forwarded-For": "192.0.2.1"})
        assert response.status_code == 200
        url, protocols = f"{served.served.socket_url}/graphql", [Subprotocol("graphql-transport-ws")]

        def through_proxy(address: str) -> connect:
            return connect(url, subprotocols=protocols, additional_headers={"X-Forwarded-For": address})

        async with through_proxy("192.0.2.1") as first, through_proxy("192.0.2.2") as second:
            for connection in (first, second):
                await Socket(connection).initialise()
            async with through_proxy("192.0.2.1") as third:
                with pytest.raises(ConnectionClosed):
                    await Socket(third).initialise()
                assert third.close_code == 1013


CROSS_SITE: Final = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
SHOWN: Final = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", CROSS_SITE, 403),
        ("GET", CROSS_SITE | {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ("GET", SHOWN | {"Sec-Fetch-Dest": "iframe"}, 403),
        ("POST", SHOWN, 403),
        ("POST", CROSS_SITE | {"Origin": "null"}, 403),
        ("POST", {"Origin": "https://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Origin": "http://["}, 403),
        ("OPTIONS", CROSS_SITE | {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}, 403),
        ("GET", SHOWN, 200),
        ("POST", CROSS_SITE | {"Origin": "https://shop.example"}, 200),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", {"Sec-Fetch-Site": "none"}, 200),
        ("POST", {"Origin": "http://localhost:3000"}, 200),
        ("POST", {}, 200),
    ],
)
async def test_what_a_page_of_another_site_fetches_is_refused(
    shop: Whole, method: str, headers: dict[str, str], status: int
) -> None:
    body = QUERY if method == "POST" else None
    response = await shop.http.request(method, "/graphql?query={__typename}", json=body, headers=headers)
    assert response.status_code == status
    if status == 403:
        assert "SEATSAGA_ALLOWED_ORIGINS" in response.json()["detail"]


async def test_host_and_origin_are_compared_with_the_host_that_a_named_proxy_reports(
    sqlite_template: Path, tmp_path: Path
) -> None:
    settings = {"forwarded_allow_ips": "127.0.0.1", "allowed_origins": "https://shop.example"}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        rebound = await served.http.post("/graphql", json=QUERY, headers={"X-Forwarded-Host": "evil.example"})
        assert rebound.status_code == 421
        shop = await served.http.post("/graphql", json=QUERY, headers={"X-Forwarded-Host": "shop.example"})
        assert shop.status_code == 200


async def test_a_page_opens_a_socket_through_a_proxy_that_changes_the_host(
    sqlite_template: Path, tmp_path: Path
) -> None:
    settings = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters", "forwarded_allow_ips": "127.0.0.1"}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        page = {"Origin": "https://shop.example:8443"}
        assert await handshake(served, **page) == 403
        assert await handshake(served, **page, **{"X-Forwarded-Host": "shop.example:8443"}) == 101
        port = {"X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"}
        assert await handshake(served, **page, **port) == 101
        assert await handshake(served, **page, Forwarded='for=192.0.2.1;host="shop.example:8443"') == 101
        assert await handshake(served, **page, **{"X-Forwarded-Host": "other.example"}) == 403


async def test_where_a_token_guards_nothing_of_it_is_refused(sqlite_template: Path, tmp_path: Path) -> None:
    settings = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters or more"}
    async with whole(sqlite_template, tmp_path, **settings) as served:
        headers = CROSS_SITE | {"Origin": "https://evil.example", "Via": "1.1 proxy", "X-Forwarded-For": "192.0.2.1"}
        assert (await served.http.get("/healthz", headers=headers)).status_code == 200
        assert (await served.http.post("/graphql", json=QUERY, headers=headers)).status_code == 401


# ---------------------------------------------------------------------- what operators are told of it


async def test_operators_see_how_their_request_arrived_and_nobody_else_does(
    sqlite_template: Path, tmp_path: Path
) -> None:
    settings = {"forwarded_allow_ips": "127.0.0.1", "base_path": "/seats"}
    headers = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost"}
    async with whole(sqlite_template, tmp_path, **settings) as served:

        async def told(token: str | None) -> Any:
            bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
            answer = await served.http.get("/seats/healthz?answerAfterSeconds=x", headers=headers | bearer)
            assert answer.status_code == 200
            return answer.json()

        assert await told(ADMIN_TOKEN) == {
            "status": "ok",
            "request": {
                "client": "192.0.2.1",
                "peer": "127.0.0.1",
                "isFromTrustedProxy": True,
                "scheme": "https",
                "host": "localhost",
                "basePath": "/seats",
                "forwardedHeaders": ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
            },
        }
        assert await told(None) == await told("wrong") == {"status": "ok"}


async def test_operators_alone_may_ask_for_a_late_answer(sqlite_template: Path, tmp_path: Path) -> None:
    async with whole(sqlite_template, tmp_path) as served:
        bearer = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        late = asyncio.create_task(served.http.get("/healthz?answerAfterSeconds=1", headers=bearer))
        assert (await served.http.get("/healthz?answerAfterSeconds=1")).json() == {"status": "ok"}
        assert not late.done()
        assert "request" in (await late).json()
