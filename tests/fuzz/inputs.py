"""What is sent: documents from the schema, bodies, headers, frames and CSV files, sound ones and spoiled ones.

Everything is drawn from the `random.Random` that is given, and from nothing else.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)

from domain.flights.imports import COLUMNS
from schema.root import SDL_FILE
from tests.support.raw import frame

__all__ = ["Call", "Inputs"]

DEPTH_MAX: Final = 5
#: Texts that have broken somebody's software.
NASTY: Final = (
    "",
    " ",
    "\x00",
    "\x1b[31mred\x1b[0m",
    "\u2028\u2029\x85",
    "\u202egnp.exe",
    "\ud800",
    "a" * 10_000,
    ". Did you mean " * 200,
    "'; DROP TABLE sagas; --",
    "[/x][bold]",
    "{{7*7}}",
    "%s%s%n",
    "../../etc/passwd",
    "null",
    "NaN",
    "Infinity",
    "1e400",
    "0x1F",
    "é" + "\u0301" * 50,
    "👩‍👩‍👧‍👦",
    "00000000-0000-0000-0000-000000000000",
    "RmxpZ2h0OjE",
    "RmxpZ2h0Oi0x",
    "2026-02-30",
    "9999-12-31T23:59:59.999999Z",
    "pm_card_chargeDeclined",
)
NUMBERS: Final = (0, -1, 1, 100, 101, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63, 10**40, 0.1, -0.0, 1e308)
ACCEPTS: Final = (
    "application/json",
    "application/graphql-response+json",
    "text/event-stream",
    'multipart/mixed;subscriptionSpec="1.0", application/json',
    "text/html",
    "*/*",
    "image/png",
    ";;;,,q=",
    "application/json;q=0",
)
CONTENT_TYPES: Final = (
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-7",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "",
)
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "BREW")
PATHS: Final = (
    "/",
    "/graphql",
    "/graphql/",
    "//graphql",
    "/graphql?query=%7B__typename%7D",
    "/graphql?query=%ff%fe",
    "/healthz",
    "/readyz",
    "/metrics",
    "/saga/test",
    "/saga/%2e%2e/%2e%2e/etc/passwd",
    "/admin/scheduler",
    "/admin/scheduler/jobs/recover-sagas",
    "/admin/scheduler/jobs/recover-sagas/run",
    "/admin/scheduler/jobs/recover-sagas/runs",
    "/admin/scheduler/jobs/none/pause",
    "/assets/none.js",
    "/\x7f",
)


_SPOILERS: Final = (b"{", b"}", b"[", b'"', b"\\", b"$", b"@", b"...", b"\xff", b"#", b"&")
_MESSAGES: Final = ("ping", "pong", "complete", "next", "subscribe", "connection_init", "")
_SUBSCRIBE: Final = b'{"id": "1", "type": "subscribe", "payload": {"query": "{ __typename }"}}'


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Inputs:
    """Draws from `dice`; sometimes as an operator. `known`: ids and the like that the server has told."""

    def __init__(self, dice: random.Random, operator_token: str) -> None:
        self._dice = dice
        self._operator_token = operator_token
        self._schema = build_schema(SDL_FILE.read_text())
        self.known: list[str] = ["RmxpZ2h0OjE", "SS0000001"]

    # ------------------------------------------------------------------ HTTP

    def call(self) -> Call:
        """A request to the API, or to whatever else there is."""
        dice = self._dice
        if dice.random() < 0.1:
            headers = [*self._headers(), ("Content-Type", dice.choice(CONTENT_TYPES))]
            return Call(dice.choice(METHODS), dice.choice(PATHS), tuple(headers), self._body())
        method = "POST" if dice.random() < 0.95 else dice.choice(METHODS)
        kind = "application/json" if dice.random() < 0.9 else dice.choice(CONTENT_TYPES)
        return Call(method, "/graphql", (*self._headers(), ("Content-Type", kind)), self._body())

    def _headers(self) -> list[tuple[str, str]]:
        dice = self._dice
        headers = [("Accept", "application/json" if dice.random() < 0.7 else dice.choice(ACCEPTS))]
        if dice.random() < 0.4:
            headers.append(("Authorization", f"Bearer {self._operator_token}"))
        for name in ("X-Request-ID", "Origin", "Last-Event-ID", "User-Agent", "Cookie"):
            if dice.random() < 0.05:
                headers.append((name, self._header_text()))
        if len(headers) == 1 and dice.random() < 0.05:
            headers.append(("Authorization", self._header_text()))
        return headers

    def _header_text(self) -> str:
        """What a client's own library lets through: no line ends."""
        text = self.text().encode("utf-8", "replace").decode("latin-1")
        return "".join(character for character in text if character not in "\r\n\x00")[:2_000]

    def _body(self) -> bytes:
        dice = self._dice
        if dice.random() < 0.03:
            return dice.randbytes(dice.randrange(200))
        message: Any = {"query": self.document()}
        if dice.random() < 0.5:
            message["variables"] = {name: self.value() for name in self._names(4)}
        if dice.random() < 0.1:
            message["operationName"] = dice.choice(("A", "", None, 7, [], self.text()))
        if dice.random() < 0.05:
            message["extensions"] = self.value()
        if dice.random() < 0.03:
            message = [message, message]
        body = json.dumps(message).encode()
        return self._spoiled(body) if dice.random() < 0.1 else body

    def _spoiled(self, data: bytes) -> bytes:
        """The same with some of it changed, left out or said twice."""
        dice, spoiled = self._dice, bytearray(data)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(spoiled) + 1)
            match dice.randrange(4):
                case 0:
                    spoiled[at : at + dice.randrange(8)] = b""
                case 1:
                    spoiled[at:at] = dice.randbytes(dice.randrange(4))
                case 2:
                    spoiled[at:at] = dice.choice(
                        (b"{", b"}", b"[", b'"', b"\\", b"$", b"@", b"...", b"\xff", b"#", b"&")
                    )
                case 3:
                    spoiled[at:at] = spoiled[at : at + dice.randrange(64)]
        return bytes(spoiled)

    # ------------------------------------------------------------------ documents

    def document(self) -> str:
        """One operation, mostly a valid one."""
        dice = self._dice
        kind = dice.choices(("query", "mutation", "subscription", "nonsense"), (6, 3, 1, 1))[0]
        if kind == "nonsense":
            return self._nonsense()
        root = {
            "query": self._schema.query_type,
            "mutation": self._schema.mutation_type,
            "subscription": self._schema.subscription_type,
        }[kind]
        assert root is not None
        document = f"{kind} {self._selections(root, 0, fields_max=1 if kind == 'subscription' else 3)}"
        if dice.random() < 0.1:
            return self._spoiled(document.encode("utf-8", "surrogatepass")).decode("utf-8", "replace")
        return document

    def _nonsense(self) -> str:
        dice = self._dice
        number = dice.choice((1, 10, 200, 2_000))
        return dice.choice(
            (
                self.text(),
                "{" * number,
                "{ a" * number + "}" * number,
                "{ __typename " + " ".join(f"a{n}: __typename" for n in range(number)) + "}",
                "query(" + ",".join(f"$v{n}: Int" for n in range(number)) + ") { __typename }",
                "{ ...A } " + " ".join(f"fragment A{n} on Query {{ ...A{n + 1} }}" for n in range(number)),
                "{ ...A } fragment A on Query { ...A }",
                "{ node(id: " + "[" * number + "]" * number + ") { id } }",
                "{ " + "@include(if: true) " * number + "__typename }",
                "query A { __typename } query A { __typename }",
                "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
                f'{{ node(id: "{"x" * number}") {{ id }} }}',
                "{ " + "\u00e9" * number + " }",
                "#" + "c" * number,
            )
        )

    def _selections(self, parent: GraphQLObjectType, depth: int, *, fields_max: int = 4) -> str:
        dice = self._dice
        names = dice.sample(sorted(parent.fields), min(len(parent.fields), dice.randint(1, fields_max)))
        chosen = [self._field(name, parent.fields[name], depth) for name in names]
        if dice.random() < 0.03:
            chosen.append(self._name())
        return "{ " + " ".join(chosen) + " }"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        arguments = ""
        given = [
            f"{argument}: {self.literal(of.type)}"
            for argument, of in field.args.items()
            if isinstance(of.type, GraphQLNonNull) or self._dice.random() < 0.4
        ]
        if given:
            arguments = f"({', '.join(given)})"
        return f"{name}{arguments}{self._beneath(field.type, depth)}"

    def _beneath(self, kind: Any, depth: int) -> str:
        named = get_named_type(kind)
        if is_leaf_type(named):
            return ""
        if depth >= DEPTH_MAX:
            return " { __typename }"
        if is_abstract_type(named):
            members = self._members(named)
            return f" {{ __typename ... on {members.name} {self._selections(members, depth + 1)} }}"
        return f" {self._selections(named, depth + 1)}"

    def _members(self, kind: Any) -> GraphQLObjectType:
        found: Sequence[GraphQLObjectType] = (
            kind.types if isinstance(kind, GraphQLUnionType) else self._schema.get_possible_types(kind)
        )
        return self._dice.choice(list(found))

    def literal(self, kind: Any) -> str:
        """A literal, mostly of the type `kind`."""
        dice = self._dice
        if dice.random() < 0.04:
            return self._wrong_literal()
        if isinstance(kind, GraphQLNonNull):
            return self.literal(kind.of_type)
        if dice.random() < 0.05:
            return "null"
        if isinstance(kind, GraphQLList):
            return "[" + ", ".join(self.literal(kind.of_type) for _ in range(dice.randrange(3))) + "]"
        if isinstance(kind, GraphQLEnumType):
            return str(dice.choice(list(kind.values)))
        if isinstance(kind, GraphQLInputObjectType):
            return self._input(kind)
        return self._scalar(kind.name)

    def _input(self, kind: GraphQLInputObjectType) -> str:
        given = [
            f"{name}: {self.literal(field.type)}"
            for name, field in kind.fields.items()
            if isinstance(field.type, GraphQLNonNull) or self._dice.random() < 0.4
        ]
        return "{" + ", ".join(given) + "}"

    def _scalar(self, name: str) -> str:
        dice = self._dice
        match name:
            case "Int":
                return str(dice.choice([number for number in NUMBERS if isinstance(number, int)] + [1, 2, 10]))
            case "Float":
                return str(dice.choice(NUMBERS))
            case "Boolean":
                return dice.choice(("true", "false"))
            case "UUID" | "ID" if dice.random() < 0.6:
                return json.dumps(dice.choice(self.known))
            case "Date":
                return dice.choice(('"2026-12-24"', '"1990-04-01"', '"0001-01-01"', '"9999-12-31"'))
            case "DateTime":
                return dice.choice(('"2026-12-24T00:00:00Z"', '"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"'))
            case "Decimal":
                return dice.choice(('"118.00"', '"0"', '"-1"', '"1e999999"', '"0.001"', '"NaN"'))
            case _:
                return json.dumps(dice.choice((self.text(), "LHR", "JFK", "12C", "John", "SS0000001")))

    def _wrong_literal(self) -> str:
        return self._dice.choice(("{}", "[]", "7", "NOT_A_VALUE", '"text"', "1.5", "$nowhere", '"""block"""', "[[[]]]"))

    # ------------------------------------------------------------------ values

    def value(self, depth: int = 0) -> Any:
        """Any JSON value."""
        dice = self._dice
        makers: list[Callable[[], Any]] = [
            self.text,
            lambda: dice.choice(NUMBERS),
            lambda: dice.choice((None, True, False)),
            lambda: dice.choice(self.known),
        ]
        if depth < 4:
            makers += [
                lambda: [self.value(depth + 1) for _ in range(dice.randrange(4))],
                lambda: {name: self.value(depth + 1) for name in self._names(4)},
            ]
        return dice.choice(makers)()

    def text(self) -> str:
        """A text, short or long, plain or nasty."""
        dice = self._dice
        if dice.random() < 0.5:
            return dice.choice(NASTY)
        return "".join(dice.choices(string.printable, k=dice.randrange(40)))

    def _name(self) -> str:
        return "".join(self._dice.choices(string.ascii_letters + "_", k=self._dice.choice((1, 5, 30, 300))))

    def _names(self, most: int) -> list[str]:
        names = ("input", "id", "filter", "first", "after", "correlationId", self._name(), self.text())
        return [self._dice.choice(names) for _ in range(self._dice.randrange(most))]

    # ------------------------------------------------------------------ frames

    def frames(self) -> bytes:
        """What one socket sends after its handshake."""
        dice, sent = self._dice, b""
        if dice.random() < 0.9:
            sent += frame(1, json.dumps({"type": "connection_init", "payload": self._init()}).encode())
        for number in range(dice.randrange(6)):
            sent += self._frame(number)
        return sent

    def _init(self) -> Any:
        return {} if self._dice.random() < 0.8 else self.value()

    def _frame(self, number: int) -> bytes:
        dice = self._dice
        match dice.choices(("subscribe", "message", "spoiled", "frame"), (5, 2, 2, 2))[0]:
            case "subscribe":
                payload = {"query": self.document(), "variables": {}}
                return frame(1, json.dumps({"id": str(number), "type": "subscribe", "payload": payload}).encode())
            case "message":
                kind = dice.choice(
                    ("ping", "pong", "complete", "next", "subscribe", "connection_init", "", self.text())
                )
                return frame(1, json.dumps({"id": self.value(), "type": kind, "payload": self.value()}).encode())
            case "spoiled":
                return frame(1, self._spoiled(_SUBSCRIBE))
            case _:
                return frame(
                    dice.randrange(16),
                    dice.randbytes(dice.choice((0, 2, 125, 126, 300))),
                    fin=dice.random() < 0.8,
                    rsv=dice.choice((0, 0, 0, 1, 4)),
                    mask=dice.random() < 0.95,
                )

    # ------------------------------------------------------------------ CSV

    def timetable(self) -> bytes:
        """A CSV file, mostly nearly right."""
        dice = self._dice
        columns = list(COLUMNS)
        if dice.random() < 0.1:
            dice.shuffle(columns)
            columns = columns[: dice.randint(0, len(columns))]
        lines = [",".join(columns)]
        for number in range(dice.randrange(6)):
            values = {
                "number": f"ZZ{dice.randrange(10_000)}",
                "origin": dice.choice(("LHR", "JFK", "LAX", "XXX", "")),
                "destination": dice.choice(("JFK", "LAX", "CDG", "LHR")),
                "departs_at": f"2027-05-{dice.choice(('01', '02', '12', '32'))}T10:{number:02}",
                "arrives_at": dice.choice(("2027-05-03T10:00", "2027-05-03T23:00Z", "2027-05-13T01:00+02:00", "soon")),
                "economy_price": dice.choice(("100.00", "100", "99.9", "0", "1e9", "1.001", "NaN")),
                "business_price": "300.00",
                "first_price": "500",
                "currency": dice.choice(("USD", "USD", "USD", "JPY", "usd")),
            }
            cells = [values[column] if dice.random() < 0.95 else self.text() for column in columns]
            lines.append(dice.choice((",", ",", ",", ";")).join(f'"{cell}"' if "," in cell else cell for cell in cells))
        content = dice.choice(("\n", "\n", "\r\n", "\r")).join(lines).encode("utf-8", "replace")
        if dice.random() < 0.3:
            content = self._spoiled(content)
        return dice.choice((b"", b"", b"\xef\xbb\xbf", b"\xff\xfe")) + content
