"""A server that runs trusted documents only: by their ids and texts, in every transport; and no others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import md5, sha256
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from graphql import get_introspection_query, parse

from app.settings import load_settings
from app.trusted_documents import trusted_documents
from domain.errors import ConfigurationError
from schema.documents import form_of
from schema.execution import Executable
from schema.root import create_schema
from tests.app.test_persisted_queries import by_hash, by_id, over, told
from tests.app.whole import ADMIN_TOKEN, Whole, whole
from tests.support.children import environment, seatsaga

ROOT: Final = Path(__file__).parents[2]
NOT_TRUSTED: Final = "DOCUMENT_NOT_TRUSTED"
#: As developers write them: a fragment in another file, two operations in one.
WRITTEN: Final = {
    "flights.graphql": (
        "# What the first page shows.\n"
        "query Flights($first: Int!, $after: String) { flights(first: $first, after: $after) {\n"
        "  edges { node { ...FlightLine } } pageInfo { endCursor } } }\n"
        "query Airports { airports { ...AirportName } }\n"
    ),
    "parts/fragments.gql": (
        "fragment FlightLine on Flight { number origin { ...AirportName } }\n"
        "fragment AirportName on Airport { code city }\n"
        "fragment Unused on Airport { timeZone }\n"
    ),
    "changes.graphql": "subscription Changes { sagaChanges { saga { id } } }",
}
#: In the format of each tool: Apollo's generator, graphql-codegen, and Relay's compiler.
VIEWER: Final = "query Viewer {\n  viewer {\n    role\n    __typename\n  }\n}"
CODEGEN: Final = "query Definitions { sagaDefinitions { name version } }"
RELAY: Final = "query RelayViewer {\n  viewer {\n    subject\n  }\n}\n"
MANIFESTS: Final[dict[str, Any]] = {
    "apollo.json": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            {"id": sha256(VIEWER.encode()).hexdigest(), "name": "Viewer", "type": "query", "body": VIEWER},
            {"id": "chosen-id", "name": "Mine", "type": "query", "body": "query Mine { viewer { memberNumbers } }"},
        ],
    },
    "persisted-documents.json": {f"sha256:{sha256(CODEGEN.encode()).hexdigest()}": CODEGEN},
    "relay.json": {md5(RELAY.encode(), usedforsecurity=False).hexdigest(): RELAY},
}
#: As a client of this folder's documents sends them: printed anew, with the names of types.
SENT: Final = """fragment AirportName on Airport { code city __typename }

query Airports {
  airports {
    ...AirportName
    __typename
  }
}"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def only(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    folder = write(tmp_path_factory.mktemp("trusted"), WRITTEN | MANIFESTS)
    settings = {"persisted_queries": "only", "trusted_documents": folder}
    async with whole(sqlite_template, tmp_path_factory.mktemp("only"), **settings) as served:
        yield served


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": f"sha256:{sha256(VIEWER.encode()).hexdigest()}"},
        {"documentId": sha256(VIEWER.encode()).hexdigest()},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(VIEWER.encode()).hexdigest()}}},
        {"documentId": "chosen-id"},
        {"documentId": f"sha256:{sha256(CODEGEN.encode()).hexdigest()}"},
        {"documentId": md5(RELAY.encode(), usedforsecurity=False).hexdigest()},
        {"query": VIEWER},
        {"query": "query Viewer { viewer { role } }"},
        {"query": SENT},
        by_hash(SENT, sends_text=True),
    ],
)
@pytest.mark.parametrize("transport", ["post", "get", "websocket", "sse"])
async def test_a_trusted_document_runs_by_its_id_and_by_its_text(
    only: Whole, transport: str, body: dict[str, Any]
) -> None:
    answer = await over(transport, only.served, body)

    assert "errors" not in answer
    assert answer["data"]


async def test_a_link_that_only_knows_the_text_needs_one_more_round_trip_once(only: Whole) -> None:
    text = SENT.replace("\n", "\n\n")
    assert told(await over("post", only.served, by_hash(text))) == (
        "PersistedQueryNotFound",
        "PERSISTED_QUERY_NOT_FOUND",
    )
    for body in (by_hash(text, sends_text=True), by_hash(text), by_id(text)):
        assert "errors" not in await over("post", only.served, body)


@pytest.mark.parametrize(
    "text",
    [
        "{ __typename }",
        "{ airports { code } }",
        "query Airports { airports { code } }",
        "query Airports { airports { ...AirportName } } fragment AirportName on Airport { code city timeZone }",
        "query Airports { all: airports { ...AirportName } } fragment AirportName on Airport { code city }",
        "query Viewer { viewer { role: __typename } }",
        f"{VIEWER} query Other {{ airports {{ code }} }}",
        "mutation { cancelSaga(input: {correlationId: 1}) { nothing } }",
        get_introspection_query(),
    ],
)
@pytest.mark.parametrize("transport", ["post", "get", "websocket", "sse", "multipart"])
async def test_any_other_document_is_refused_in_every_transport_and_its_hash_is_not_learnt(
    only: Whole, transport: str, text: str
) -> None:
    assert told(await over(transport, only.served, {"query": text}))[1] == NOT_TRUSTED
    assert told(await over(transport, only.served, by_hash(text, sends_text=True)))[1] == NOT_TRUSTED
    assert told(await over(transport, only.served, by_hash(text)))[1] == "PERSISTED_QUERY_NOT_FOUND"


async def test_an_untrusted_document_learns_nothing_of_the_schema(only: Whole) -> None:
    message, code = told(await over("post", only.served, {"query": "{ airport { code } viewr { rol } }"}))

    assert code == NOT_TRUSTED
    assert "airports" not in message
    assert "viewer" not in message


async def test_graphiql_says_why_it_is_off(only: Whole) -> None:
    page = await only.http.get("/graphql", headers={"accept": "text/html"})

    assert page.status_code == 200
    assert "trusted documents only" in page.text
    assert "<script" not in page.text


async def test_every_document_of_the_console_and_of_the_commands_is_trusted(tmp_path: Path) -> None:
    write(tmp_path, {"a.graphql": CODEGEN})
    found = trusted_documents(tmp_path, Executable(create_schema()).documents)
    console = ROOT / "app" / "console" / "static" / "trusted-documents.json"
    if console.exists():
        written = "".join(path.read_text("utf-8") for path in ROOT.glob("console/src/**/*.graphql.ts"))
        operations = sum(written.count(f"\n  {kind} ") for kind in ("query", "mutation", "subscription"))
        texts = json.loads(console.read_text("utf-8")).values()
        assert len(texts) == operations > 0
        assert {form_of(parse(text)) for text in texts} <= found.forms


async def test_the_operators_commands_work_as_ever(only: Whole, tmp_path: Path) -> None:
    env = environment(tmp_path, admin_token=ADMIN_TOKEN)
    for command in (
        ("sagas", "list"),
        ("actions",),
        ("find", "SS0101"),
        ("incidents",),
        ("provider",),
        ("provider", "pause", "--reason", "to see it"),
        ("provider", "resume", "--reason", "to see it"),
        ("scenarios", "--report", str(tmp_path / "report.json")),
    ):
        ended = await in_thread(*command, "--url", only.served.url, env=env, folder=tmp_path)
        assert "trusted" not in ended.stderr + ended.stdout, ended
        assert ended.returncode == 0 or "Nothing found" in ended.stdout, ended


async def in_thread(*arguments: str, env: dict[str, str], folder: Path) -> Any:
    return await asyncio.to_thread(seatsaga, *arguments, env=env, folder=folder)


# ---------------------------------------------------------------------- the start


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.graphql": "query {"}, "a.graphql: line 1: Syntax Error"),
        ({"a.graphql": "{ nothing }"}, "a.graphql: Cannot query field 'nothing' on type 'Query'."),
        ({"a.graphql": "query A { airports { ...B } }"}, "a.graphql, A: Unknown fragment 'B'."),
        ({"a.graphql": "type A { b: Int }"}, "a.graphql: it defines types"),
        ({"a.json": "{"}, "a.json: it is neither"),
        ({"a.json": {"format": "apollo-persisted-query-manifest", "operations": [{"id": 1}]}}, "a.json: it is neither"),
        ({"a.json": ["{ airports { code } }"]}, "a.json: it is neither"),
        ({"a.json": {"one": "{ nothing }"}}, "a.json, one: Cannot query field"),
        (
            {"a.json": {"one": "{ viewer { role } }"}, "b.json": {"one": "{ airports { code } }"}},
            "b.json, one: another",
        ),
        (
            {"a.graphql": "fragment A on Airport { code }", "b.graphql": "fragment A on Airport { city }"},
            "b.graphql: the fragment A is another one in",
        ),
        ({"a.txt": "{ airports { code } }"}, "there is no document in it"),
        ({}, "there is no document in it"),
    ],
)
async def test_a_start_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, files: dict[str, Any], said: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(ConfigurationError) as refused:
        trusted_documents(tmp_path, Executable(create_schema()).documents)

    assert said in str(refused.value)


async def test_every_bad_document_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"a.graphql": "{ one }", "b/c.graphql": "{ two }", "d.json": {"e": "{ airports { three } }"}})
    with pytest.raises(ConfigurationError) as refused:
        trusted_documents(tmp_path, Executable(create_schema()).documents)

    lines = str(refused.value).splitlines()[1:]
    assert [line.partition(": Cannot")[0].strip().removeprefix(str(tmp_path)) for line in lines] == [
        "/a.graphql",
        "/b/c.graphql",
        "/d.json, e",
    ]


async def test_a_file_that_is_not_there_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        trusted_documents(tmp_path / "none.json", Executable(create_schema()).documents)


@pytest.mark.parametrize(
    "settings",
    [
        {"persisted_queries": "only"},
        {"trusted_documents": Path("a")},
        {"persisted_queries": "automatic", "trusted_documents": Path("a")},
    ],
)
async def test_the_two_settings_belong_together(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="SEATSAGA_TRUSTED_DOCUMENTS"):
        load_settings({}, **settings)
