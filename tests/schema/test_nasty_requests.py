"""Whatever a request says, up to the limit of bodies, it is refused in no time and nothing of it is said back.

Every nasty text stands once in every place where a caller may put one. What refusing it takes is
counted in processor time, beside what its parsing takes, and what parsing the longest document takes on this machine.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec
import pytest
from graphql import GraphQLError, parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.http.operations import Operation, operation_of
from schema.execution import Executable, Execution, Rejected
from schema.root import create_schema

pytestmark = pytest.mark.usefixtures("no_collections")

ASKED: Final = Executable(create_schema())
BODY_BYTES_MAX: Final = 1_048_576
SECONDS_MAX: Final = 0.05
#: As many tokens as a document may have; parsing it takes some 15 ms.
LONGEST: Final = "{ " + "airport " * (ASKED.limits.tokens_max - 4) + "}"
LONGEST_PARSINGS_MAX: Final = 3
#: Of a machine that is busy: a bound that is not met at once is tried again.
TRIES: Final = 5
BOOK: Final = "mutation($i: BookFlightInput!) { bookFlight(input: $i) { saga { id } } }"

#: What was found to be quadratic, and what looks like it: words of error messages, quotes, and ends of both.
SEEDS: Final = (
    ". Did you mean ",
    ". Did you mean 'a'? Found: ",
    ", found: ",
    "? Found: ",
    ", but encountered error '",
    " cannot represent a value: ",
    "Value 'a' does not exist in 'b' ",
    "' does not exist in '",
    "String 'a' Int 'b' ",
    "more than 1 tokens ",
    "nested too deeply ",
    "'",
    "\\u{0",
    "pm_",
    "tok_a src_b ",
    "a",
    "_",
    "0",
    "\n",
    " ",
    "#\n",
    "é",
    "\U0001f6eb",
)
LENGTHS: Final = (1_000, 60_000, 1_000_000)


def literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def name(text: str) -> str:
    """As much of a text as a name may have."""
    return "n" + "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text)


Request = tuple[str, dict[str, Any]]
DOCUMENTS: Final[dict[str, Callable[[str], Request]]] = {
    "anything": lambda text: (text, {}),
    "a literal where a name should be": lambda text: (f"{{ {literal(text)} }}", {}),
    "a literal": lambda text: (f"{{ flights(first: {literal(text)}) {{ totalCount }} }}", {}),
    "a literal of an enum": lambda text: (f"{{ sagas(filter: {{status: {literal(text)}}}) {{ totalCount }} }}", {}),
    "a block of text": lambda text: (f'{{ flights(first: """{text}""") {{ totalCount }} }}', {}),
    "a literal of a scalar": lambda text: (f"{{ saga(correlationId: {literal(text)}) {{ id }} }}", {}),
    "a default": lambda text: (f"query($i: UUID = {literal(text)}) {{ saga(correlationId: $i) {{ id }} }}", {}),
    "a number": lambda text: (f"{{ flights(first: 1{'0' * len(text)}) {{ totalCount }} }}", {}),
    "a fraction": lambda text: (f"{{ flights(first: .{'7' * len(text)}) {{ totalCount }} }}", {}),
    "an escape": lambda text: (f'{{ flights(first: "\\u{text}") {{ totalCount }} }}', {}),
    "a field": lambda text: (f"{{ {name(text)} }}", {}),
    "an argument": lambda text: (f"{{ flights({name(text)}: 1) {{ totalCount }} }}", {}),
    "a field of an input": lambda text: (f"{{ flights(filter: {{{name(text)}: 1}}) {{ totalCount }} }}", {}),
    "a value of an enum": lambda text: (f"{{ sagas(filter: {{status: {name(text)}}}) {{ totalCount }} }}", {}),
    "a type": lambda text: (f"query($i: {name(text)}) {{ node(id: $i) {{ id }} }}", {}),
    "a type of a fragment": lambda text: (f"{{ ... on {name(text)} {{ id }} }}", {}),
    "a fragment": lambda text: (f"{{ ...{name(text)} }}", {}),
    "a directive": lambda text: (f"{{ __typename @{name(text)} }}", {}),
    "an alias": lambda text: (f"{{ {name(text)}: nothing }}", {}),
    "a variable of no type": lambda text: (f"{{ flights(first: ${name(text)}) {{ totalCount }} }}", {}),
    "an operation": lambda text: (f"query {name(text)} {{ nothing }}", {}),
    "a variable's key": lambda text: (BOOK, {"i": {text: text}}),
    "a variable's key within": lambda text: (
        BOOK,
        {"i": {"segments": [{"flightId": "a", text: 1}], "passengers": []}},
    ),
    "many keys": lambda text: (BOOK, {"i": {f"segment{number}": 1 for number in range(len(text) // 20)}}),
    "a variable": lambda text: (BOOK, {"i": text}),
    "a variable's scalar": lambda text: (BOOK, {"i": {"correlationId": text, "segments": [], "passengers": []}}),
    "a variable's enum": lambda text: (
        BOOK,
        {"i": {"payment": {"method": text}, "segments": [], "passengers": []}},
    ),
    "a variable's list": lambda text: (BOOK, {"i": {"segments": [1] * (len(text) // 3), "passengers": []}}),
    "a long list": lambda text: (BOOK, {"i": {"segments": [{}] * (len(text) // 3), "passengers": []}}),
    "a deep list": lambda text: (BOOK, {"i": {"segments": nested(min(len(text), 800)), "passengers": []}}),
    "many fields": lambda text: (many(text, lambda number: f"segments{number}"), {}),
    "many names": lambda text: (many(text, lambda number: "__typename"), {}),
    "many fields of one name": lambda text: (many(text, lambda number: "flights(first: 1) { totalCount }"), {}),
    "many types": lambda text: (many(text, lambda number: f"... on BookedSeatConnection{number} {{ id }}"), {}),
    "many aliases": lambda text: (many(text, lambda number: f"a{number}: __typename"), {}),
    "many directives": lambda text: ("{ airports" + many(text, lambda number: f"@skip{number}")[1:-1] + "}", {}),
    "many arguments": lambda text: ("{ flights(" + many(text, lambda number: f"firsts{number}: 1")[1:-1] + ") }", {}),
    "many fields of an input": lambda text: (
        "{ flights(filter: {" + many(text, lambda number: f"origin{number}: 1")[1:-1] + "}) { totalCount } }",
        {},
    ),
    "many values": lambda text: (
        "{ sagas(filter: {status: [" + many(text, lambda number: f"RUNNINGS{number}")[1:-1] + "]}) { totalCount } }",
        {},
    ),
    "many operations": lambda text: (many(text, lambda number: f"}} query Q{number} {{ nothing"), {}),
    "many variables": lambda text: (
        "query(" + many(text, lambda number: f"$a{number}: Int = 1")[1:-1] + ") { nothing }",
        {},
    ),
    "many fragments on one field": lambda text: (
        many(text, lambda number: f"...F{number}")
        + " ".join(f"fragment F{number} on Query {{ airports {{ code name }} }}" for number in range(100)),
        {},
    ),
    "fragments in fragments": lambda text: (
        "{ ...F0 } "
        + " ".join(f"fragment F{number} on Query {{ ...F{number + 1} ...F{number + 1} }}" for number in range(150)),
        {},
    ),
    "far down": lambda text: ("\n" * min(len(text), 60_000) + many(text, lambda number: f"nope{number}"), {}),
}


def many(text: str, part: Callable[[int], str]) -> str:
    """As many parts as come up to the limits."""
    return "{ " + " ".join(part(number) for number in range(min(len(text) // 8, 1_900))) + " }"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def seconds_of(run: Callable[[], object]) -> float:
    """Of processor time."""
    began = time.process_time()
    run()
    return time.process_time() - began


def parsed(body: bytes) -> None:
    """What cannot be avoided: the body is decoded, and so much of the document read as is allowed."""
    with suppress(GraphQLError):
        parse(msgspec.json.decode(body)["query"], max_lexical_tokens=ASKED.limits.tokens_max)


def answered(body: bytes) -> str:
    """What is said to a request, as JSON; "" where it may run, or is none."""
    operation = operation_of(msgspec.json.decode(body))
    if not isinstance(operation, Operation):
        return ""
    begun = ASKED.begin(operation.query or "", variables=operation.variables, name=operation.name)
    if isinstance(begun, Execution):
        return ""
    assert all((error.extensions or {}).get("code") not in (None, "INTERNAL") for error in begun.errors)
    return json.dumps([error.formatted for error in begun.errors], ensure_ascii=False)


def check_time(body: bytes) -> None:
    """Refused in time."""
    for left in reversed(range(TRIES)):
        taken = seconds_of(lambda: answered(body))
        if taken <= SECONDS_MAX or taken <= most_seconds() + seconds_of(lambda: parsed(body)):
            return
        gc.collect()
        assert left, f"{taken * 1e3:.0f} ms of processor time: {body[:200]!r}"


def most_seconds() -> float:
    """SECONDS_MAX, or more on a slower machine."""
    return max(SECONDS_MAX, LONGEST_PARSINGS_MAX * seconds_of(lambda: parse(LONGEST)))


def bodies(place: str) -> Iterator[bytes]:
    """Each seed as long as a document may be, and one of them as long as a body may be."""
    for number, seed in enumerate(SEEDS):
        for length in (60_000, 1_000_000) if number in (0, len(SEEDS) // 2) else (60_000,):
            query, variables = DOCUMENTS[place](seed * (length // len(seed)))
            body = msgspec.json.encode({"query": query, "variables": variables})
            if len(body) <= BODY_BYTES_MAX:
                yield body


@pytest.mark.parametrize("place", DOCUMENTS)
def test_a_nasty_text_is_refused_in_no_time_wherever_it_stands(place: str) -> None:
    for body in bodies(place):
        check_time(body)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.sampled_from(sorted(DOCUMENTS)),
    parts=st.lists(st.sampled_from(SEEDS) | st.text(max_size=8), min_size=1, max_size=4),
    times=st.sampled_from([1, 50, 2_000]),
)
def test_mixed_texts_are_refused_in_no_time_too(place: str, parts: list[str], times: int) -> None:
    query, variables = DOCUMENTS[place]("".join(parts) * times)
    body = msgspec.json.encode({"query": query, "variables": variables})
    if len(body) <= BODY_BYTES_MAX:
        check_time(body)


SECRET: Final = "hunter2hunter2"
#: Names that a document gives are said back where they are short, as those are what is misspelt.
VALUES: Final = sorted(
    {
        "a literal where a name should be",
        "a literal",
        "a literal of an enum",
        "a block of text",
        "a literal of a scalar",
        "a default",
        "an escape",
        "a value of an enum",
        "a variable's key",
        "a variable's key within",
        "a variable",
        "a variable's scalar",
        "a variable's enum",
    }
)


@pytest.mark.parametrize("place", VALUES)
@pytest.mark.parametrize("seed", ["", *SEEDS])
def test_a_value_is_never_said_back_whatever_stands_around_it(place: str, seed: str) -> None:
    for text in (f"{seed}{SECRET}", f"{SECRET}{seed}", f"{seed}{SECRET}{seed}", f"{seed * 3}{SECRET}"):
        query, variables = DOCUMENTS[place](text)
        assert SECRET not in answered(msgspec.json.encode({"query": query, "variables": variables}))


@pytest.mark.parametrize("place", [place for place in DOCUMENTS if place not in VALUES])
def test_a_long_name_is_never_said_back(place: str) -> None:
    query, variables = DOCUMENTS[place](SECRET * 6)
    said = answered(msgspec.json.encode({"query": query, "variables": variables}))
    assert SECRET not in said


def test_a_number_without_a_digit_in_front_is_not_said_back() -> None:
    rejected = ASKED.begin("{ flights(first: .4242424242424242) { totalCount } }")
    assert isinstance(rejected, Rejected)
    assert "4242" not in rejected.errors[0].message
