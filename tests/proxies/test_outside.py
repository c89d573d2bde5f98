"""`seatsaga doctor --url`: finds nothing in the shipped files, and each break by its name.

All looks happen at the same time, in `seen`; each test judges one.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from app.outside import CHECKS, Observation, State, look
from tests.app.whole import whole
from tests.proxies.asking import trust
from tests.proxies.conftest import serving_flights
from tests.support.children import Child, environment, seatsaga
from tests.support.proxies import KINDS, Kind, Proxy, proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN: Final = "the token of these operators"
Edit = Callable[[str], str]


def changed(*pairs: str) -> Edit:
    """The file with each first text of a pair replaced by the second."""

    def edit(text: str) -> str:
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            assert old in text, old
            text = text.replace(old, new)
        return text

    return edit


LOCATION: Final = "proxy_http_version 1.1;"
FOR: Final = "proxy_set_header X-Forwarded-For $remote_addr;"
#: What somebody might write into nginx.conf, and the checks that must say so.
BREAKS: Final[dict[str, tuple[Edit, set[str]]]] = {
    "Host of the upstream": (
        changed("Host $http_host", "Host $proxy_host"),
        {"host"},
    ),
    "Host without its port": (
        changed("Host $http_host", "Host $host", "X-Forwarded-Port $server_port", 'X-Forwarded-Port ""'),
        {"host"},
    ),
    "Origin removed": (changed(LOCATION, f'{LOCATION} proxy_set_header Origin "";'), {"origin"}),
    "no Upgrade": (changed("proxy_set_header Upgrade $http_upgrade;", ""), {"websocket"}),
    "streams buffered": (
        changed(LOCATION, f"{LOCATION} proxy_ignore_headers X-Accel-Buffering;"),
        {"sse", "multipart"},
    ),
    "everything compressed": (
        changed(
            "gzip_types ", "gzip_types text/event-stream multipart/mixed ", "gzip_min_length 1000", "gzip_min_length 0"
        ),
        {"stream-compression"},
    ),
    "impatient": (changed("proxy_read_timeout 60s", "proxy_read_timeout 15s"), {"patience"}),
    "idle for 5 s": (changed("proxy_read_timeout 60s", "proxy_read_timeout 5s"), {"keep-alive", "patience"}),
    "no address": (changed(FOR, 'proxy_set_header X-Forwarded-For "";'), {"forwarded"}),
    "no scheme": (changed("X-Forwarded-Proto $scheme", 'X-Forwarded-Proto ""'), {"forwarded"}),
    "the client's address": (changed(FOR, ""), {"forwarded"}),
    "the client's prefix": (changed('proxy_set_header X-Forwarded-Prefix "";', ""), {"forwarded"}),
    "answers cached": (
        changed(
            "upstream seatsaga {",
            "proxy_cache_path cache keys_zone=kept:1m;\nupstream seatsaga {",
            LOCATION,
            f"{LOCATION} proxy_cache kept; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control; "
            "proxy_cache_bypass $http_upgrade; proxy_no_cache $http_upgrade;",
        ),
        {"caching"},
    ),
    "small bodies": (
        changed("client_max_body_size 2m", "client_max_body_size 1m", "error_page 413", "#"),
        {"body-limit"},
    ),
    "no compression": (changed("gzip on;", "gzip off;"), {"compression"}),
    "HTTP/1.1 alone": (changed(" ssl http2 ", " ssl "), {"http2"}),
    "at another path": (changed("location / {", "location /seats/ {"), {"reachable"}),
    "no server": (changed("proxy_pass http://seatsaga;", "proxy_pass http://127.0.0.1:9;"), {"reachable"}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Child]:
    """A server that asks for tokens."""
    async with serving_flights(
        sqlite_template,
        tmp_path_factory.mktemp("guarded"),
        auth="jwt",
        jwt_secret="a secret of thirty-two characters or more",
        admin_token=TOKEN,
        forwarded_allow_ips="127.0.0.1",
    ) as child:
        yield child


Seen = dict[str, list[Observation]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(guarded: Child) -> AsyncIterator[Seen]:
    """Every look, by the name of what is looked at."""
    with ExitStack() as stack:

        def front(kind: Kind = "nginx", edit: Edit | None = None, days: int = 90) -> Proxy:
            validity = datetime.timedelta(days=days)
            return stack.enter_context(proxy(kind, [guarded.port], tls=True, edit=edit, validity=validity))

        def seen_through(
            front: Proxy, url: str | None = None, token: str | None = TOKEN, *, is_quick: bool = False
        ) -> asyncio.Task[list[Observation]]:
            return asyncio.create_task(look(url or front.url, token=token, trust=trust(front), is_quick=is_quick))

        tasks: dict[str, asyncio.Task[list[Observation]]] = {kind: seen_through(front(kind)) for kind in KINDS}
        for name, (edit, checks) in BREAKS.items():
            tasks[name] = seen_through(front(edit=edit), is_quick="patience" not in checks)
        good = front()
        tasks["without a token"] = seen_through(good, token=None)
        tasks["from plain HTTP"] = seen_through(good, url=good.plain_url)
        tasks["a redirect that loses the method"] = seen_through(
            (moved := front(edit=changed("return 308", "return 301"))), url=moved.plain_url
        )
        tasks["a redirect to another host"] = seen_through(
            (moved := front(edit=changed("https://$host:", "https://127.0.0.1:"))), url=moved.plain_url, is_quick=True
        )
        tasks["expiring"] = seen_through(front(days=3))
        tasks["expired"] = seen_through(front(days=-1))
        tasks["another authority"] = asyncio.create_task(look(good.url, token=TOKEN))
        yield {name: await task for name, task in tasks.items()}


def faults(said: list[Observation]) -> set[str]:
    """The checks that are not as they should be."""
    return {each.check for each in said if each.state in (State.BROKEN, State.ADVICE)}


def told(said: list[Observation], check: str) -> str:
    """What is said of one check."""
    (detail,) = [each.detail for each in said if each.check == check]
    return detail


@pytest.mark.parametrize("kind", KINDS)
async def test_the_shipped_files_are_clean(seen: Seen, kind: Kind) -> None:
    """And nothing was skipped but what the address has no place for."""
    assert faults(seen[kind]) == set()
    assert {each.check for each in seen[kind]} == set(CHECKS) - {"redirect"}
    assert {each.check for each in seen[kind] if each.state is State.SKIPPED} == set()


@pytest.mark.parametrize("name", BREAKS)
async def test_a_break_is_told(seen: Seen, name: str) -> None:
    assert faults(seen[name]) == BREAKS[name][1], seen[name]


async def test_the_details_name_the_place(seen: Seen) -> None:
    assert "the proxy answered 503 after 1" in told(seen["impatient"], "patience")
    cut = {each.detail.split()[1] for each in seen["idle for 5 s"] if each.check == "keep-alive"}
    assert cut == {"sse", "multipart", "socket"}
    assert any("client 192.0.2.1" in each.detail for each in seen["the client's address"])
    assert "basePath /seatsaga-doctor" in told(seen["the client's prefix"], "forwarded")
    assert "SEATSAGA_BASE_PATH" not in told(seen["no server"], "reachable")


async def test_certificates(seen: Seen) -> None:
    """A bad certificate does not end the look, but nothing secret is sent there."""
    for name, words in {"expiring": "expires in 3 days", "expired": "expired", "another authority": "refused"}.items():
        assert words in told(seen[name], "tls"), seen[name]
        assert faults(seen[name]) == {"tls"}
    skipped = {each.check for each in seen["another authority"] if each.state is State.SKIPPED}
    assert {"forwarded", "patience", "sse"} <= skipped


async def test_plain_http_is_followed_to_tls(seen: Seen) -> None:
    assert faults(seen["from plain HTTP"]) == set()
    assert faults(seen["a redirect that loses the method"]) == {"redirect"}


async def test_a_redirect_to_another_host_gets_no_token(seen: Seen) -> None:
    said = seen["a redirect to another host"]
    assert faults(said) == set()
    assert {"forwarded", "sse"} <= {each.check for each in said if each.state is State.SKIPPED}


async def test_without_a_token_what_needs_one_is_skipped(seen: Seen) -> None:
    said = seen["without a token"]
    assert faults(said) == set()
    assert {each.check for each in said if each.state is State.SKIPPED} == {
        "forwarded",
        "patience",
        "sse",
        "multipart",
        "keep-alive",
        "compression",
        "body-limit",
    }


# ---------------------------------------------------------------------- the server's own settings


async def looked_at(template: Path, folder: Path, **settings: object) -> list[Observation]:
    """A quick look at a server with these settings, behind nginx."""
    async with whole(template, folder, **{"admin_token": TOKEN, **settings}) as served:
        with proxy("nginx", [served.served.port]) as front:
            return await look(front.url, token=TOKEN, is_quick=True)


JWT: Final = {"auth": "jwt", "jwt_secret": "a secret of thirty-two characters or more"}


async def test_a_proxy_that_the_server_does_not_trust_is_told(sqlite_template: Path, tmp_path: Path) -> None:
    said = await looked_at(sqlite_template, tmp_path, **JWT)
    assert faults(said) == {"forwarded"}
    assert told(said, "forwarded").endswith("does not trust 127.0.0.1; add it to SEATSAGA_FORWARDED_ALLOW_IPS.")


async def test_so_is_one_that_a_server_without_authentication_does_not_trust(
    sqlite_template: Path, tmp_path: Path
) -> None:
    said = await looked_at(sqlite_template, tmp_path)
    assert faults(said) == {"forwarded"}
    assert "SEATSAGA_FORWARDED_ALLOW_IPS" in told(said, "forwarded")


async def test_a_server_that_refuses_the_checks_own_operations_is_no_fault(
    sqlite_template: Path, tmp_path: Path
) -> None:
    (tmp_path / "trusted.graphql").write_text("{ __typename }")
    trusted = {"persisted_queries": "only", "trusted_documents": str(tmp_path / "trusted.graphql")}
    said = await looked_at(sqlite_template, tmp_path, forwarded_allow_ips="127.0.0.1", **JWT, **trusted)
    assert faults(said) == set()
    assert "DOCUMENT_NOT_TRUSTED" in told(said, "sse") + told(said, "multipart")


async def test_without_a_proxy_nothing_is_wrong(sqlite_template: Path, tmp_path: Path) -> None:
    async with whole(sqlite_template, tmp_path, admin_token=TOKEN) as served:
        said = await look(served.served.url, token=TOKEN, is_quick=True)
    assert {each.check for each in said if each.state is State.BROKEN} == set()


# ---------------------------------------------------------------------- the command


async def command(front: Proxy, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    env = environment(folder, admin_token=TOKEN)
    return await asyncio.to_thread(seatsaga, "doctor", "--url", front.url, "--quick", *options, env=env, folder=folder)


async def test_the_command_tells_what_to_change(guarded: Child, tmp_path: Path) -> None:
    with proxy("nginx", [guarded.port], edit=BREAKS["no Upgrade"][0]) as front:
        ended = await command(front, tmp_path)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert "✔ sse                Server-Sent Events arrive at once.\n" in ended.stdout
    assert "✘ websocket          WebSockets pass.\n    The handshake was answered 4" in ended.stdout
    assert "    nginx:   proxy_http_version 1.1; proxy_set_header Upgrade" in ended.stdout
    assert "    See docs/proxies.md#websockets-and-streams\n" in ended.stdout
    assert ended.stdout.endswith("1 fault: websocket\n")
    assert TOKEN not in ended.stdout


async def test_the_command_tells_machines(guarded: Child, tmp_path: Path) -> None:
    with proxy("caddy", [guarded.port]) as front:
        ended = await command(front, tmp_path, "--json")
        said = json.loads(ended.stdout)
        assert (ended.returncode, said["url"]) == (0, front.url)
    assert {each["check"]: each["state"] for each in said["observations"] if each["state"] != "holds"} == {
        "tls": "skipped"
    }
    assert set(said["observations"][0]) == {"check", "state", "detail", "holds", "docs", "remedy"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "book.example"], "is not the URL of a server"),
        (["--url", "http://127.0.0.1:99999"], "is not the URL of a server"),
        (["--url", "http://[::1"], "is not the URL of a server"),
        (["--json"], "need --url"),
        (["--provider", "--url", "https://book.example"], "--provider checks a database"),
    ],
)
async def test_what_makes_no_sense_is_refused(options: list[str], words: str, tmp_path: Path) -> None:
    ended = await asyncio.to_thread(seatsaga, "doctor", *options, env=environment(tmp_path), folder=tmp_path)
    assert ended.returncode != 0
    assert words in " ".join(ended.stderr.split())
