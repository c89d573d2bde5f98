"""The wire forms of times, dates, decimals and UUIDs are strict both ways, as variables and as literals alike."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import pytest
from graphql import is_scalar_type, is_specified_scalar_type

from domain.clock import SECOND
from domain.money import Money
from schema.execution import Executable, Rejected
from schema.root import create_schema
from schema.scalars import SCALARS, Day, Instant, Uuid
from tests.domain.bookings.world import JANE, JOHN
from tests.schema.api import OPERATOR, Api

#: No test here changes what another one reads.
sharing = pytest.mark.asyncio(loop_scope="module")
on_sqlite = pytest.mark.parametrize("shared_api", ["sqlite"], indirect=True)

UUID: Final = "0197a9a0-0000-7000-8000-00000000abcd"
EIGHT_THIRTY: Final = 1_795_422_600 * SECOND
#: Where each scalar is asked for: the type, a document with it as a variable, and one with it as a literal.
PLACES: Final = {
    Instant: ("DateTime", "sagas(filter: {{startedAfter: {0}}}) {{ totalCount }}"),
    Day: ("Date", "flights(filter: {{departsOn: {0}}}) {{ totalCount }}"),
    Uuid: ("UUID", "saga(correlationId: {0}) {{ id }}"),
    Decimal: (
        "Decimal",
        'bookFlight(input: {{segments: [], passengers: [], expectedTotal: {{amount: {0}, currency: "USD"}}}})'
        " {{ errors {{ __typename ... on UserError {{ path }} }} }}",
    ),
}
GOOD: Final[list[tuple[Any, str, Any]]] = [
    (Instant, "2026-11-23T08:30:00Z", EIGHT_THIRTY),
    (Instant, "2026-11-23t08:30:00z", EIGHT_THIRTY),
    (Instant, "2026-11-23 08:30:00+00:00", EIGHT_THIRTY),
    (Instant, "2026-11-23T09:30:00+01:00", EIGHT_THIRTY),
    (Instant, "2026-11-22T23:00:00-09:30", EIGHT_THIRTY),
    (Instant, "2026-11-23T08:30:00.5Z", EIGHT_THIRTY + SECOND // 2),
    (Instant, "2026-11-23T08:30:00.000001Z", EIGHT_THIRTY + 1),
    # What is finer than a microsecond is cut off.
    (Instant, "2026-11-23T08:30:00.000001999Z", EIGHT_THIRTY + 1),
    (Instant, "1969-12-31T23:59:59Z", -SECOND),
    (Instant, "2024-02-29T00:00:00Z", 1_709_164_800 * SECOND),
    (Day, "2026-11-23", "2026-11-23"),
    (Day, "2024-02-29", "2024-02-29"),
    (Day, "0001-01-01", "0001-01-01"),
    (Day, "9999-12-31", "9999-12-31"),
    (Decimal, "0", Decimal(0)),
    (Decimal, "123.45", Decimal("123.45")),
    (Decimal, "-1.5", Decimal("-1.5")),
    (Decimal, "007.10", Decimal("7.10")),
    (Decimal, "9" * 18 + "." + "9" * 9, Decimal("9" * 18 + "." + "9" * 9)),
    (Uuid, UUID, UUID),
    (Uuid, UUID.upper(), UUID),
]
NO_TEXT: Final = [0, 1.5, True, [], {}]
GARBLED: Final[dict[Any, list[Any]]] = {
    Instant: [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T08:30:00",
        "2026-11-23T08:30Z",
        "2026-11-23T08:30:00.Z",
        "2026-11-23T08:30:00.0000000001Z",
        "2026-11-23T08:30:00+0100",
        "2026-11-23T08:30:00+01",
        "2026-11-23T08:30:00+99:00",
        "2026-13-23T08:30:00Z",
        "2026-02-29T08:30:00Z",
        "2026-11-23T25:30:00Z",
        "2026-11-23T08:60:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "20261123T083000Z",
        "2026-W48-1T08:30:00Z",
        " 2026-11-23T08:30:00Z",
        "2026-11-23T08:30:00Z\n",
        "٢٠٢٦-11-23T08:30:00Z",
        "x" * 10_000,
    ],
    Day: [
        "",
        "today",
        "2026-2-3",
        "20261123",
        "2026-W48-1",
        "2026-02-29",
        "2026-13-01",
        "2026-11-23T00:00:00Z",
        "0000-01-01",
        "12026-01-01",
        " 2026-11-23",
        "2026-11-23\n",
        "٢٠٢٦-11-23",
    ],
    Decimal: [
        "",
        "a",
        ".5",
        "5.",
        "1e3",
        "1_000",
        "1,000",
        "+1",
        "NaN",
        "Infinity",
        "-",
        " 1",
        "1\n",
        "٣",
        "0x10",
        "9" * 19,
        "0." + "9" * 10,
    ],
    Uuid: [
        "",
        "x",
        UUID.replace("-", ""),
        f"{{{UUID}}}",
        f"urn:uuid:{UUID}",
        UUID[:-1],
        UUID + "0",
        f" {UUID}",
        UUID.replace("0", "g", 1),
        UUID.replace("-", "_"),
        "0197a9a00-000-7000-8000-00000000abcd",
        "x" * 10000,
    ],
}
garbled = pytest.mark.parametrize(
    ("scalar", "text"),
    [(scalar, text) for scalar, texts in GARBLED.items() for text in texts],
    ids=lambda each: repr(each)[:40] if isinstance(each, str) else None,
)


def by_variable(scalar: Any) -> str:
    name, place = PLACES[scalar]
    kind = "mutation" if scalar is Decimal else "query"
    return f"{kind}($it: {name}!) {{ {place.format('$it')} }}"


def by_literal(scalar: Any, literal: str) -> str:
    _, place = PLACES[scalar]
    return f"{'mutation' if scalar is Decimal else 'query'} {{ {place.format(literal)} }}"


def block(text: str) -> str:
    """`text` as a GraphQL string."""
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in text)
    return f'"{escaped}"'


@pytest.mark.parametrize(("scalar", "text", "value"), GOOD)
def test_a_well_formed_value_is_read_by_variable_and_literal(scalar: Any, text: str, value: Any) -> None:
    read = SCALARS[scalar].parse_value

    assert read is not None
    assert read(text) == value


@pytest.mark.parametrize(("scalar", "text", "value"), GOOD)
@sharing
@on_sqlite
async def test_a_well_formed_value_is_taken_by_the_api(shared_api: Api, scalar: Any, text: str, value: Any) -> None:
    answers = [
        await shared_api.ask(by_variable(scalar), it=text),
        await shared_api.ask(by_literal(scalar, block(text))),
    ]

    assert answers[0] == answers[1]
    assert answers[0].good


@garbled
@sharing
@on_sqlite
async def test_a_garbled_value_is_refused_by_name_and_not_repeated(shared_api: Api, scalar: Any, text: str) -> None:
    name, _ = PLACES[scalar]

    for answer in (
        await shared_api.ask(by_variable(scalar), it=text),
        await shared_api.ask(by_literal(scalar, block(text))),
    ):
        assert answer.data is None
        (error,) = answer.errors
        assert f"{name} must be" in error.message
        assert len(text) < 3 or text not in error.message.replace("2026-11-23T08:30:00Z", "<example>")
        assert len(error.message) < 250
        # It is the caller's to mend, not a fault.
        assert error.code != "INTERNAL"


@pytest.mark.parametrize("scalar", list(PLACES), ids=lambda scalar: PLACES[scalar][0])
def test_the_error_points_to_the_literal(scalar: Any) -> None:
    document = by_literal(scalar, '"x"')

    rejected = Executable(create_schema()).begin(document)

    assert isinstance(rejected, Rejected)
    assert rejected.errors[0].locations
    (place,) = rejected.errors[0].locations
    assert document.splitlines()[place.line - 1][place.column - 1 :].startswith('"x"')


@pytest.mark.parametrize("scalar", list(PLACES), ids=lambda scalar: PLACES[scalar][0])
@sharing
@on_sqlite
async def test_what_is_no_text_is_refused(shared_api: Api, scalar: Any) -> None:
    name, _ = PLACES[scalar]
    answers = [await shared_api.ask(by_variable(scalar), it=value) for value in NO_TEXT]
    answers += [
        await shared_api.ask(by_literal(scalar, literal)) for literal in ("0", "1.5", "true", "[]", "{}", "RED")
    ]

    for answer in answers:
        assert answer.data is None
        assert len(answer.errors) == 1
        assert f"{name} must be" in answer.errors[0].message or "invalid value" in answer.errors[0].message
        assert answer.errors[0].code != "INTERNAL"


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (EIGHT_THIRTY, "2026-11-23T08:30:00Z"),
        (EIGHT_THIRTY + 1, "2026-11-23T08:30:00.000001Z"),
        (EIGHT_THIRTY + SECOND // 2, "2026-11-23T08:30:00.500000Z"),
        (0, "1970-01-01T00:00:00Z"),
        (-SECOND, "1969-12-31T23:59:59Z"),
    ],
)
def test_an_instant_is_written_in_utc_and_is_read_again_as_it_was(moment: int, written: str) -> None:
    definition = SCALARS[Instant]

    assert definition.serialize is not None
    assert definition.parse_value is not None
    assert definition.serialize(moment) == written
    assert definition.parse_value(written) == moment


@pytest.mark.parametrize(
    ("minor", "currency", "written"), [(100_05, "USD", "100.05"), (0, "USD", "0.00"), (7, "JPY", "7")]
)
def test_an_amount_is_text_with_the_currencys_decimals(minor: int, currency: str, written: str) -> None:
    serialize = SCALARS[Decimal].serialize

    assert serialize is not None
    assert serialize(Money(minor, currency).amount) == written


@sharing
@on_sqlite
async def test_what_is_written_is_what_may_be_sent(shared_api: Api) -> None:
    saga = await shared_api.world.ended(await shared_api.world.book(passengers=[JOHN, JANE]))
    asked = """query($id: UUID!) { saga(correlationId: $id) {
      correlationId startedAt finishedAt passengers { dateOfBirth } payment { amount { amount } }
    } }"""

    found = (await shared_api.read(asked, id=saga.correlation_id))["saga"]

    assert found["correlationId"] == saga.correlation_id
    assert found["passengers"] == [{"dateOfBirth": None}, {"dateOfBirth": "1990-04-01"}]
    assert found["payment"]["amount"]["amount"] == "200.00"
    for moment in (found["startedAt"], found["finishedAt"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", moment)
    window = "query($f: SagaFilter) { sagas(filter: $f) { totalCount } }"
    at = found["startedAt"]
    assert await shared_api.read(window, OPERATOR, f={"startedAfter": at}) == {"sagas": {"totalCount": 1}}
    assert await shared_api.read(window, OPERATOR, f={"startedBefore": at}) == {"sagas": {"totalCount": 0}}


def test_every_scalar_of_ours_names_its_specification() -> None:
    scalars = {name: named for name, named in create_schema()._schema.type_map.items() if is_scalar_type(named)}
    ours = {name: named.specified_by_url for name, named in scalars.items() if not is_specified_scalar_type(named)}
    assert set(ours) == {"DateTime", "Date", "Decimal", "UUID"}
    assert all(url is not None and url.startswith("https://") for url in ours.values())
