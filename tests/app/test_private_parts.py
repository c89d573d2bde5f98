"""Private parts of libraries that we use: each place is named here, and held to the release that is installed.

A failure names the library with its version, the place of ours, and what to do. Adapt the place,
then raise the library's upper bound in pyproject.toml.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sqlite3
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from threading import Thread, get_ident
from typing import Any, Final, cast

import pytest
import strawberry
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from asyncpg.protocol.protocol import ConnectionSettings
from graphql import (
    GraphQLError,
    GraphQLSchema,
    KnownTypeNamesRule,
    OverlappingFieldsCanBeMergedRule,
    build_schema,
    parse,
    specified_rules,
    validate,
)
from graphql.execution import Executor
from graphql.execution.values import get_variable_values
from sqlalchemy import JSON, Boolean, Column, MetaData, Table, bindparam, select
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.engine import URL
from starlette.applications import Starlette
from strawberry.schema.schema_converter import CustomGraphQLEnumType
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import Server, ServerState

from app.http.connections import HttpConnection
from app.http.patience import PatientProtocol
from app.http.room import Room
from app.http.socket_connection import SocketConnection
from app.main import server_config
from app.ticker import Ticker
from domain.storage.one_hop import connect
from domain.storage.query import _DIALECTS
from schema import documents, errors
from schema.root import create_schema
from tests.support.databases import connected

ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("app", "domain", "schema", "sandbox", "migrations", "cluster")
#: Every name with a leading underscore that we use of something that is not ours, and the library that it belongs to.
PRIVATE: Final = {
    "_thread": "aiosqlite",
    "_execute": "aiosqlite",
    "_conn": "aiosqlite",
    "_connector": "aiosqlite",
    "_tx": "aiosqlite",
    "_bind_processors": "sqlalchemy",
    "_result_columns": "sqlalchemy",
    "_cached_result_processor": "sqlalchemy",
    "_transaction": "sqlalchemy",
    "_start_transaction": "sqlalchemy",
    "_handle_exception": "sqlalchemy",
    "_schema": "strawberry-graphql",
    "_should_upgrade": "uvicorn",
    "_types": "uvicorn",
    "_transport": "asyncpg",
}
#: Documented in spite of the underscore.
PUBLIC: Final = {"_replace", "_make", "_exit"}
#: Used in a way that a minor release may break: private names, hooks that are overridden, exact words.
BOUNDED: Final = {*PRIVATE.values(), "graphql-core", "websockets", "apscheduler", "starlette"}


def held(holds: bool, library: str, fact: str, place: str) -> None:
    """Fail, with what to do, unless `fact` is so in the installed release of `library`."""
    assert holds, (
        f"{library} {version(library)} changed: {fact} no longer holds. {place} relies on it. "
        f"Adapt that place, then raise the bound of {library} in pyproject.toml."
    )


def test_every_private_name_that_we_use_is_named_here() -> None:
    used = {name for folder in OURS for file in (ROOT / folder).rglob("*.py") for name in foreign_private_names(file)}
    assert used - PUBLIC <= set(PRIVATE), f"name the library of {used - PUBLIC - set(PRIVATE)} in PRIVATE, and test it"


def test_sqlalchemy_s_adapter_of_asyncpg_begins_and_translates_as_the_driver_behind_it_needs() -> None:
    adapter = AsyncAdapt_asyncpg_connection
    place = "domain/storage/postgresql.py (Driver)"
    held("_transaction" in adapter.__slots__, "sqlalchemy", "its adapter keeps `_transaction`", place)
    held(inspect.iscoroutinefunction(adapter._start_transaction), "sqlalchemy", "`_start_transaction` is async", place)
    held(
        list(inspect.signature(adapter._handle_exception).parameters) == ["self", "error"],
        "sqlalchemy",
        "`_handle_exception(error)` translates the driver's errors",
        place,
    )
    held(
        hasattr(ConnectionSettings, "add_python_codec"),
        "asyncpg",
        "settings have `add_python_codec`",
        "domain/storage/postgresql.py (_set_array_codecs)",
    )


def test_every_library_of_private_parts_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    unbounded = {re.split(r"[\[>=<;]", each)[0] for each in project["dependencies"] if "<" not in each}
    assert unbounded.isdisjoint(BOUNDED)


def foreign_private_names(file: Path) -> Iterator[str]:
    """Names with one leading underscore that `file` uses and does not define."""
    tree = ast.parse(file.read_text())
    nodes = list(ast.walk(tree))
    ours = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    ours |= {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    ours |= {node.target.id for node in nodes if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr):
            if node.attr not in ours and not is_of_an_ancestor_of_ours(node, file):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(OURS):
            yield from (part for part in node.module.split(".") if re.match(r"_[a-z]", part))


def is_of_an_ancestor_of_ours(node: ast.Attribute, file: Path) -> bool:
    """Whether a class of ours has `self._name`: one in another module of the same folder, or of seatsaga-client."""
    if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
        return False
    others = [*file.parent.glob("*.py"), *ROOT.glob("clients/python/src/*/*.py")]
    texts = [other.read_text() for other in others if other != file]
    return any(f"self.{node.attr} = " in text or f"def {node.attr}(self" in text for text in texts)


# ---------------------------------------------------------------------- aiosqlite


async def test_aiosqlite_has_a_thread_that_runs_what_it_is_given(tmp_path: Path) -> None:
    place = "domain/storage/one_hop.py"
    connection = connect(tmp_path / "a.db", lambda error: None)
    thread: Any = getattr(connection, "_thread", None)
    held(isinstance(thread, Thread), "aiosqlite", "Connection._thread is a Thread", place)
    held(thread.daemon and not thread.is_alive(), "aiosqlite", "the thread starts when it is awaited", place)
    await connection
    try:
        execute: Any = connection._execute
        async with asyncio.timeout(10):
            ran_on = await execute(get_ident)
        held(ran_on == thread.ident, "aiosqlite", "the thread runs the functions of Connection._tx", place)
        held(isinstance(connection._conn, sqlite3.Connection), "aiosqlite", "_conn is sqlite3's connection", place)
    finally:
        await connection.close()
    await asyncio.to_thread(thread.join, 10)
    held(not thread.is_alive(), "aiosqlite", "the thread ends on _STOP_RUNNING_SENTINEL", place)


# ---------------------------------------------------------------------- asyncpg, SQLAlchemy


async def test_asyncpg_has_a_transport_that_names_its_socket(postgres_url: URL) -> None:
    async with connected(postgres_url) as connection:
        transport: Any = getattr(connection, "_transport", None)
        named = transport is not None and transport.get_extra_info("socket") is not None
        held(named, "asyncpg", "Connection._transport tells its socket", "domain/storage/postgresql.py")


def test_sqlalchemy_tells_how_parameters_are_bound_and_rows_are_read() -> None:
    place = "domain/storage/query.py"
    table = Table("t", MetaData(), Column("document", JSON), Column("flag", Boolean))
    compiled: Any = (
        select(table.c.document.label("d"), table.c.flag)
        .where(table.c.flag == bindparam("flag", type_=Boolean))
        .compile(dialect=_DIALECTS["sqlite"])
    )
    held(compiled.positiontup == ["flag"], "sqlalchemy", "Compiled.positiontup names the parameters in order", place)
    held(compiled.binds["flag"].required is True, "sqlalchemy", "Compiled.binds tells what is required", place)
    held(not compiled.post_compile_params, "sqlalchemy", "Compiled.post_compile_params is empty for fixed text", place)
    process = getattr(compiled, "_bind_processors", {}).get("flag")
    held(process is not None and process(True) == 1, "sqlalchemy", "Compiled._bind_processors converts by name", place)
    columns = list(getattr(compiled, "_result_columns", []))
    names = [getattr(column, "keyname", None) for column in columns]
    held(names == ["d", "flag"], "sqlalchemy", "Compiled._result_columns have keyname and type", place)
    read = getattr(columns[0].type, "_cached_result_processor", lambda *_: None)(_DIALECTS["sqlite"], None)
    held(read is not None and read('{"a": 1}') == {"a": 1}, "sqlalchemy", "_cached_result_processor reads", place)


# ---------------------------------------------------------------------- Strawberry


def test_strawberry_is_made_of_a_graphql_core_schema_and_enums_that_can_grow() -> None:
    schema = create_schema()
    inner = getattr(schema, "_schema", None)
    held(isinstance(inner, GraphQLSchema), "strawberry-graphql", "Schema._schema is graphql-core's", "schema/")
    held(
        issubclass(schema.execution_context_class, Executor),
        "strawberry-graphql",
        "Schema.execution_context_class is an Executor of graphql-core",
        "schema/execution.py",
    )
    held(
        isinstance(schema._schema.type_map["StepName"], CustomGraphQLEnumType)
        and schema._schema.type_map["StepName"].coerce_output_value("NEWER") == "NEWER",
        "strawberry-graphql",
        "an enum's class can be replaced by a subclass of CustomGraphQLEnumType",
        "schema/enums.py, let_newer_names_through",
    )


@strawberry.input
class Ask:
    """An input."""

    text: str


@strawberry.type
class Query:
    """What takes it."""

    @strawberry.field
    def told(self, ask: Ask) -> str:
        """It."""
        return ask.text


def test_strawberry_builds_inputs_by_from_input() -> None:
    built: list[object] = []

    def build(wanted: type, value: dict[str, Any], context: object) -> object:
        built.append(value)
        return wanted(**value)

    vars(Ask)["__strawberry_definition__"].from_input = build
    answer = strawberry.Schema(Query).execute_sync('{ told(ask: {text: "a"}) }')
    held(
        built == [{"text": "a"}] and answer.data == {"told": "a"},
        "strawberry-graphql",
        "an input is built by from_input(type, value, context) of its definition",
        "schema/variables.py",
    )


# ---------------------------------------------------------------------- graphql-core: names


def test_graphql_core_has_the_parts_of_an_execution() -> None:
    place = "schema/execution.py"
    accepted = inspect.signature(Executor.build).parameters
    for name in ("max_coercion_errors", "is_awaitable", "hide_suggestions", "operation_extensions"):
        known = name in accepted or any(each.kind is each.VAR_KEYWORD for each in accepted.values())
        held(known, "graphql-core", f"Executor.build takes {name}", place)
    held(hasattr(Executor, "build_per_event_executor"), "graphql-core", "Executor.build_per_event_executor", place)
    positions = list(inspect.signature(Executor.__init__).parameters)[1:11]
    wanted = ["schema", "fragment_definitions", "fragments", "root_value", "context_value", "operation"]
    wanted += ["variable_values", "field_resolver", "type_resolver", "subscribe_field_resolver"]
    held(positions == wanted, "graphql-core", f"Executor takes {', '.join(wanted)}", place)


def test_graphql_core_bounds_comparisons_and_suggests_type_names() -> None:
    place = "schema/documents.py"
    schema = build_schema("type Query { a: Int }")
    pairs = parse("{ " + "a " * 200 + "}")
    errors = validate(schema, pairs, [limited(OverlappingFieldsCanBeMergedRule)])
    held(
        [error.message for error in errors] == [documents._NOT_COMPARED],
        "graphql-core",
        f"rule_context.remaining_complexity_budget ends validation with '{documents._NOT_COMPARED}'",
        place,
    )
    held(
        {OverlappingFieldsCanBeMergedRule, KnownTypeNamesRule} <= set(specified_rules),
        "graphql-core",
        "both rules that are replaced are among specified_rules",
        place,
    )
    rule = "type_names" in vars(documents._KnownTypeNames) or "type_names" in inspect.getsource(KnownTypeNamesRule)
    held(rule, "graphql-core", "KnownTypeNamesRule.type_names holds what is suggested", place)


def limited(rule: type[OverlappingFieldsCanBeMergedRule]) -> type[OverlappingFieldsCanBeMergedRule]:
    """`rule` with nothing left to compare by."""

    def prepare(self: Any, context: Any) -> None:
        rule.__init__(self, context)
        self.rule_context.remaining_complexity_budget = 0

    return type("Limited", (rule,), {"__init__": prepare})


# ---------------------------------------------------------------------- graphql-core: words


SDL: Final = "scalar S enum E { A } input I { a: Int! } type Query { of(e: E, i: I, n: Int): Int }"


def refuse(value: object) -> None:
    """Take no value."""
    raise ValueError("no")


def of_syntax(text: str, **options: Any) -> str:
    """What graphql-core says of a document that it cannot parse."""
    with pytest.raises(GraphQLError) as caught:
        parse(text, **options)
    return caught.value.message


def of_document(text: str) -> str:
    """What graphql-core says first of a document that is not valid."""
    return validate(build_schema(SDL), parse(text))[0].message


def of_variable(type_: str, value: object) -> str:
    """What graphql-core says of a variable's value that does not fit."""
    schema = build_schema(SDL)
    cast(Any, schema.type_map["S"]).coerce_input_value = refuse
    operation: Any = parse(f"query($v: {type_}) {{ of(n: 1) }}").definitions[0]
    (error, *_) = cast(Any, get_variable_values(schema, operation.variable_definitions, {"v": value}))
    return str(error.message)


WORDS: Final[list[tuple[str, Callable[[], str]]]] = [
    (documents._TOO_MANY_TOKENS, lambda: of_syntax("{ a b c }", max_lexical_tokens=2)),
    *[
        (mark, lambda text=text: of_syntax(text))
        for (mark, _), text in zip(
            errors._TOKENS,
            ['{ a "s" }', '{ a """s""" }', "{ a 1 }", "{ a 1.5 }", "{ a(n: .5) }", '{ a(n: "\\u{FFFFFFFF}") }'],
            strict=True,
        )
    ],
    (errors._UNFIT, lambda: of_variable("Int", "secret")),
    (errors._UNFIT_VALUE, lambda: of_variable("Int", "secret")),
    (errors._UNLISTED[0], lambda: of_variable("E", "secret")),
    (errors._UNLISTED[1], lambda: of_variable("E", "secret")),
    (", found: ", lambda: of_variable("I", "secret")),
    (", found: ", lambda: of_document('{ of(i: "secret") }')),
    ("? Found: ", lambda: of_document("{ of(i: {a: 1, b: 2}) }")),
    (", but encountered error '", lambda: of_variable("S", "secret")),
    (documents._TOO_DEEP, lambda: of_syntax("{a" * 20_000)),
]


@pytest.mark.parametrize(("words", "said"), WORDS, ids=[words for words, _ in WORDS])
def test_graphql_core_says_it_in_these_words(words: str, said: Callable[[], str]) -> None:
    message = said()
    place = "schema/errors.py or schema/documents.py"
    held(words in message, "graphql-core", f"it says {words!r} before what it quotes; it says {message!r}", place)


# ---------------------------------------------------------------------- uvicorn, websockets


def protocol_of(kind: type[Any]) -> Any:
    """A protocol of uvicorn before its connection is made."""
    config = server_config(Starlette(), host="127.0.0.1", port=0, room=Room())
    config.load()
    return kind(config=config, server_state=ServerState(), app_state={})


HTTP_NAMES: Final = (
    "config scope headers url pipeline parser cycle flow transport client loop timeout_keep_alive_task _should_upgrade "
    "_unsupported_upgrade_warning"
)
SOCKET_NAMES: Final = (
    "conn queue frames read_paused writable handshake_initiated handshake_complete close_sent close_timer "
    "curr_msg_data_type transport client loop stop_keepalive"
)
PARSER_NAMES: Final = "max_message_size reader writes state close_sent parser_exc fail data_to_send receive_eof"


@pytest.mark.parametrize(
    ("kind", "names", "place"),
    [
        (HttpToolsProtocol, HTTP_NAMES, "app/http/patience.py and app/http/connections.py"),
        (WebSocketsSansIOProtocol, SOCKET_NAMES, "app/http/socket_connection.py"),
    ],
)
async def test_uvicorn_keeps_its_state_under_these_names(kind: type[Any], names: str, place: str) -> None:
    protocol = protocol_of(kind)
    # Some are set once a connection or a message comes.
    source = source_of(kind)
    for name in names.split():
        there = hasattr(protocol, name) or f"self.{name} = " in source or f"self.{name}: " in source
        held(there, "uvicorn", f"{kind.__name__}.{name}", place)
    held("response_complete" in inspect.getsource(RequestResponseCycle), "uvicorn", "cycle.response_complete", place)


async def test_websockets_keeps_its_state_under_these_names() -> None:
    parser = protocol_of(WebSocketsSansIOProtocol).conn
    for name in PARSER_NAMES.split():
        held(hasattr(parser, name), "websockets", f"ServerProtocol.{name}", "app/http/socket_connection.py")
    held(hasattr(parser.reader, "buffer"), "websockets", "StreamReader.buffer", "app/http/socket_connection.py")


def source_of(kind: type[Any]) -> str:
    """The text of the module that defines it."""
    return inspect.getsource(sys.modules[kind.__module__])


#: Called by httptools or asyncio, by name.
BY_NAME: Final = re.compile("on_|connection_|data_received")
HOOKS: Final = [
    (PatientProtocol, HttpToolsProtocol, "uvicorn"),
    (HttpConnection, HttpToolsProtocol, "uvicorn"),
    (SocketConnection, WebSocketsSansIOProtocol, "uvicorn"),
    (Ticker, AsyncIOScheduler, "apscheduler"),
]
#: Who else calls their methods.
CALLERS: Final[dict[str, list[type]]] = {"uvicorn": [Server], "apscheduler": []}
#: What these classes have of their own, besides what is private.
NEW: Final = {"is_behind", "keep_up", "cut_soon", "acknowledge", "follow_clock", "flush", "write"}


@pytest.mark.parametrize(("ours", "theirs", "library"), HOOKS, ids=[ours.__name__ for ours, _, _ in HOOKS])
def test_every_method_that_is_overridden_is_one_that_the_library_calls(ours: type, theirs: type, library: str) -> None:
    source = "".join(
        source_of(base) for base in (*theirs.__mro__, *CALLERS[library]) if base.__module__.startswith(library)
    )
    place = f"{ours.__module__.replace('.', '/')}.py, {ours.__name__}"
    for name, method in vars(ours).items():
        if not inspect.isfunction(method) or name.startswith("_") or name in NEW:
            continue
        known: Any = getattr(theirs, name, None)
        held(callable(known), library, f"{theirs.__name__} has {name}", place)
        taken = list(inspect.signature(method).parameters)
        held(taken == list(inspect.signature(known).parameters), library, f"{name}{taken} is its signature", place)
        called = BY_NAME.match(name) or f".{name}(" in source or f".{name}," in source or f".{name})" in source
        held(bool(called), library, f"{theirs.__name__} calls {name}", place)


def test_starlette_builds_its_middleware_in_one_place() -> None:
    source = inspect.getsource(Starlette.__call__)
    held("self.build_middleware_stack()" in source, "starlette", "build_middleware_stack is called", "app/main.py")
