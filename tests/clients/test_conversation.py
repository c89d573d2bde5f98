"""What the client library decides, without a network: each test plays the server's part."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from graphql import GraphQLObjectType, build_schema, parse, validate
from seatsaga_client import (
    ApiError,
    BookFlight,
    Passenger,
    RefusedError,
    Saga,
    SagaEvent,
    Segment,
    Status,
    Timing,
    UnavailableError,
    documents,
    types,
)
from seatsaga_client.conversation import Conversation
from seatsaga_client.event_stream import EventStream
from seatsaga_client.steps import Answer, Emit, HangUp, Pause, Receive, Request, Steps, Token

from tests.clients.snippets import ROOT

SCHEMA: Final = build_schema((ROOT / "schema" / "schema.graphql").read_text())
ID: Final = "8f14e45f-ceea-467f-ab3c-5d1c4a1e9d2a"
SAGA: Final = {"correlationId": ID, "status": "RUNNING", "sequence": 3}
LOST: Final = UnavailableError("DISCONNECTED", "lost")


def talk(*, has_new_tokens: bool = False, **timing: float) -> Conversation:
    return Conversation("http://server", has_new_tokens=has_new_tokens, timing=Timing(**timing))


class Played:
    """A conversation with a scripted server: each request gets the next of `answers`, each read the next chunk."""

    def __init__(self, steps: Steps[Any], *answers: Any, tokens: Iterator[str] | None = None) -> None:
        self.requests: list[Request] = []
        self.pauses: list[float] = []
        self.values: list[Any] = []
        self.result: Any = None
        script = iter(answers)
        answer: Any = None
        try:
            while True:
                step = steps.throw(answer) if isinstance(answer, ApiError) else steps.send(answer)
                answer = None
                match step:
                    case Token():
                        answer = next(tokens) if tokens else None
                    case Request():
                        self.requests.append(step)
                        answer = next(script)
                    case Receive():
                        answer = next(script)
                    case Pause():
                        self.pauses.append(step.seconds)
                    case Emit():
                        self.values.append(step.value)
                    case HangUp():
                        pass
        except StopIteration as over:
            self.result = over.value
        assert next(script, None) is None, "it was over before the script"


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode())


def page(status: int, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"<html></html>")


def failed(code: str, status: int = 200, **facts: Any) -> Answer:
    return said({"errors": [{"message": "no", "extensions": {"code": code, **facts}}]}, status)


def booked(**errors: Any) -> Answer:
    return said({"data": {"bookFlight": {"saga": SAGA, "errors": []}}})


def ended() -> Answer:
    return said({"data": {"saga": {**SAGA, "status": "COMPLETED"}}})


OPEN: Final = Answer(200, {}, None)


def event(sequence: int, kind: str = "STEP_COMPLETED") -> bytes:
    data = {"data": {"sagaEvents": {"sequence": sequence, "type": kind}}}
    return f"id: {sequence}\nevent: next\ndata: {json.dumps(data)}\n\n".encode()


def errors(code: str, **facts: Any) -> bytes:
    data = {"errors": [{"message": "no", "extensions": {"code": code, **facts}}]}
    return f"event: next\ndata: {json.dumps(data)}\n\nevent: complete\ndata: \n\n".encode()


def follow(
    *script: Any,
    after: int = 0,
    pruned: Any = "fail",
    give_up: float | None = None,
    has_new_tokens: bool = False,
    tokens: Iterator[str] | None = None,
    on_status: Callable[[Status], None] = lambda status: None,
) -> Played:
    steps = talk(has_new_tokens=has_new_tokens).follow(
        ID, after, "", pruned=pruned, give_up=give_up, on_status=on_status
    )
    return Played(steps, *script, tokens=tokens)


def sequences(played: Played) -> list[int]:
    return [value["sequence"] for value in played.values]


def afters(played: Played) -> list[int]:
    return [json.loads(request.body)["variables"]["after"] for request in played.requests]


# ---------------------------------------------------------------------- requests


@pytest.mark.parametrize("lost", [LOST, page(502), page(503), page(504), page(429), failed("UNAVAILABLE", 503)])
def test_a_booking_whose_answer_is_lost_is_asked_for_again_under_its_id(lost: Any) -> None:
    played = Played(talk().book({"segments": [], "passengers": []}, ""), lost, lost, booked())

    assert played.result == SAGA
    ids = {json.loads(request.body)["variables"]["input"]["correlationId"] for request in played.requests}
    assert (len(played.requests), len(ids)) == (3, 1)


def test_a_server_that_says_when_it_wants_to_be_asked_again_is_not_asked_before() -> None:
    date = "Tue, 01 Dec 2026 10:00:00 GMT"
    answers = [
        page(503, retry_after="7"),
        page(429, retry_after="Tue, 01 Dec 2026 10:00:09 GMT", date=date),
        failed("LIMIT_EXCEEDED", retryAfterSeconds=11),
        page(503, retry_after="soon"),
    ]
    played = Played(talk(backoff_first=0.001).book({"segments": [], "passengers": []}, ""), *answers, booked())

    assert played.pauses[:3] == [7, 9, 11]
    assert played.pauses[3] < 1


def test_a_gateways_dates_errors_and_waits_may_be_of_any_form() -> None:
    answers = [
        page(503, date="yesterday", retry_after="Tue, 01 Dec 2026 10:00:09 GMT"),
        page(503, retry_after="9" * 400),
        said({"errors": ["no upstream"]}, 503),
        said({"errors": [{"status": "503", "detail": "no upstream"}]}, 503),
        said({"errors": {"upstream": "gone"}}, 503),
    ]
    played = Played(talk(give_up=1e9).book({"segments": [], "passengers": []}, ""), *answers, booked())

    assert played.result == SAGA
    assert played.pauses[1] < 2**31 / 1000
    broken = b'event: next\ndata: {"errors": ["no upstream"]}\n\n'
    assert follow(OPEN, broken, OPEN, event(1, "SAGA_COMPLETED")).values[-1]["sequence"] == 1


def test_a_bounded_wait_is_over_in_time_though_the_server_is_away() -> None:
    with pytest.raises(UnavailableError):
        Played(talk().wait(ID, 2, ""), page(503, retry_after="3"))
    assert Played(talk().wait(ID, None, ""), page(503, retry_after="3"), ended()).pauses == [3]


def test_a_token_of_a_file_is_sent_without_its_line_end_and_one_that_fits_no_header_is_refused_at_once() -> None:
    events = OPEN, event(1, "SAGA_COMPLETED")
    assert follow(*events, tokens=iter(["abc\n"])).requests[0].headers["Authorization"] == "Bearer abc"
    for token in ("a\nb", "k\u20acy"):
        with pytest.raises(ApiError, match="token") as refused:
            follow(tokens=iter([token]))
        assert refused.value.code == "UNAUTHENTICATED"


def test_the_pauses_grow_to_a_limit_and_are_never_the_same() -> None:
    played = Played(talk(backoff_max=4, give_up=1e9).execute("{ a }", {}, retry=True), *[LOST] * 40, said({"data": {}}))

    for number, pause in enumerate(played.pauses):
        assert min(4, 0.5 * 2**number) / 2 <= pause <= min(4, 0.5 * 2**number)
    assert len(set(played.pauses)) == 40


def test_a_request_is_given_up_with_its_last_cause_and_the_id_that_books_once() -> None:
    booking = {"segments": [], "passengers": [], "correlationId": ID}
    with pytest.raises(UnavailableError) as given_up:
        Played(talk(give_up=0).book(booking, ""), page(502))

    assert (given_up.value.code, given_up.value.correlation_id) == ("HTTP_502", ID)


def test_what_may_not_be_repeated_is_not() -> None:
    with pytest.raises(UnavailableError):
        Played(talk().execute("mutation { a }", {}, retry=False), LOST)


def test_a_refused_booking_tells_each_reason_by_its_code() -> None:
    reasons = [{"__typename": "PriceChangedError", "code": "PRICE_CHANGED", "message": "It costs more.", "path": []}]
    with pytest.raises(RefusedError, match="It costs more") as refused:
        Played(
            talk().book({"segments": [], "passengers": []}, ""),
            said({"data": {"bookFlight": {"saga": None, "errors": reasons}}}),
        )

    assert (refused.value.code, refused.value.errors) == ("PRICE_CHANGED", reasons)


def test_a_look_that_was_obeyed_though_its_answer_was_lost_is_no_refusal() -> None:
    reasons = [{"__typename": "NothingToPayError", "code": "NOTHING_TO_PAY", "message": "Nothing.", "path": []}]
    nothing = said({"data": {"confirmCard": {"saga": None, "errors": reasons}}})
    played = Played(talk().confirm(ID, ""), LOST, nothing, said({"data": {"saga": SAGA}}))

    assert played.result == SAGA
    with pytest.raises(RefusedError):
        Played(talk().confirm(ID, ""), nothing)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (failed("FORBIDDEN"), "FORBIDDEN"),
        (failed("LIMIT_EXCEEDED", limit=3), "LIMIT_EXCEEDED"),
        (page(404), "HTTP_404"),
        (page(301), "NOT_GRAPHQL"),
        (page(200), "NOT_GRAPHQL"),
        (page(401), "UNAUTHENTICATED"),
        (said({"detail": "Not by this name."}, 421), "HTTP_421"),
        (said([]), "NOT_GRAPHQL"),
    ],
)
def test_what_never_will_work_is_not_tried_again(answer: Answer, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        Played(talk().execute("{ a }", {}, retry=True), answer)

    assert refused.value.code == code
    assert not isinstance(refused.value, UnavailableError)


def test_a_refused_token_is_replaced_once() -> None:
    def tokens() -> Iterator[str]:
        return iter(["old", "new", "newer"])

    refused = failed("UNAUTHENTICATED", 401)
    ask = talk(has_new_tokens=True).execute
    played = Played(ask("{ a }", {}, retry=True), refused, said({"data": {}}), tokens=tokens())

    assert [request.headers["Authorization"] for request in played.requests] == ["Bearer old", "Bearer new"]
    with pytest.raises(ApiError, match="no"):
        Played(ask("{ a }", {}, retry=True), refused, refused, tokens=tokens())
    with pytest.raises(ApiError, match="no"):
        Played(talk().execute("{ a }", {}, retry=True), refused)


def test_waiting_asks_for_no_more_seconds_than_proxies_bear_and_says_so_in_a_header() -> None:
    running, over = ({**SAGA, "status": status} for status in ("RUNNING", "COMPLETED"))
    played = Played(talk().wait(ID, None, ""), said({"data": {"saga": running}}), said({"data": {"saga": over}}))

    assert played.result == over
    assert [json.loads(request.body)["variables"]["seconds"] for request in played.requests] == [20, 20]
    assert {request.headers["Prefer"] for request in played.requests} == {"wait=20"}
    # A server that answers at once, as while it stops, is not asked in a circle.
    assert played.pauses == [1.0]
    assert Played(talk().wait(ID, 0, ""), said({"data": {"saga": running}})).result == running


# ---------------------------------------------------------------------- events


def test_a_follow_resumes_after_the_last_event_and_ends_with_the_terminal_one() -> None:
    played = follow(
        *(OPEN, b":\n\n", event(1), event(2), b""),
        *(OPEN, event(3), LOST),
        *(OPEN, errors("SLOW_CONSUMER", resumeAfter=3)),
        *(OPEN, errors("INTERNAL")),
        *(page(502), page(503, retry_after="50"), LOST),
        *(OPEN, event(4, "SAGA_COMPLETED")),
    )

    assert sequences(played) == [1, 2, 3, 4]
    assert afters(played) == [0, 2, 3, 3, 3, 3, 3, 3]
    assert 50 in played.pauses


def test_what_comes_twice_is_dropped_and_a_gap_is_asked_for_again() -> None:
    played = follow(OPEN, event(1) + event(1) + event(3), OPEN, event(2) + event(3, "SAGA_ABANDONED"))

    assert sequences(played) == [1, 2, 3]


def test_a_stream_that_completes_without_the_terminal_event_is_not_over() -> None:
    complete = b"event: complete\ndata: \n\n"
    played = follow(OPEN, event(1), complete, OPEN, complete, OPEN, event(2, "SAGA_COMPENSATED"))

    assert sequences(played) == [1, 2]


def test_a_follow_from_the_terminal_event_on_is_over_at_once() -> None:
    assert follow(OPEN, b":\n\nevent: complete\ndata: \n\n", after=9).values == []


@pytest.mark.parametrize("code", ["NOT_FOUND", "FORBIDDEN", "CURSOR_AHEAD", "HISTORY_PRUNED", "BAD_USER_INPUT"])
def test_a_follow_that_never_will_go_on_says_why(code: str) -> None:
    with pytest.raises(ApiError) as ended:
        follow(OPEN, errors(code, oldest=8))
    assert ended.value.code == code


def test_a_pruned_history_may_be_skipped() -> None:
    played = follow(OPEN, errors("HISTORY_PRUNED", oldest=8), OPEN, event(8, "SAGA_COMPLETED"), pruned="skip")

    assert (afters(played), sequences(played)) == ([0, 7], [8])


def test_a_proxy_that_stands_in_for_a_known_server_is_waited_for() -> None:
    script = (page(404), failed("LIMIT_EXCEEDED", limit=3), page(200), OPEN, event(2, "SAGA_COMPLETED"))
    assert sequences(follow(OPEN, event(1), b"", *script)) == [1, 2]
    with pytest.raises(ApiError):
        follow(page(404))


def test_each_connection_uses_the_newest_token() -> None:
    tokens = iter(["a", "b", "c"])
    played = follow(
        *(OPEN, event(1), b""),
        *(OPEN, errors("UNAUTHENTICATED")),
        *(OPEN, event(2, "SAGA_COMPLETED")),
        has_new_tokens=True,
        tokens=tokens,
    )

    assert [request.headers["Authorization"] for request in played.requests] == ["Bearer a", "Bearer b", "Bearer c"]


def test_a_follow_tells_how_it_stands() -> None:
    heard: list[Status] = []
    follow(OPEN, event(1), LOST, OPEN, event(2, "SAGA_COMPLETED"), on_status=heard.append)

    assert [(status.state, status.after) for status in heard] == [("live", 0), ("lost", 1), ("live", 1), ("over", 2)]
    assert (heard[1].error, heard[1].retry_seconds > 0) == (LOST, True)


def test_a_follow_is_given_up_if_that_is_asked_for() -> None:
    with pytest.raises(UnavailableError):
        follow(LOST, give_up=0)


def test_events_are_read_in_whatever_pieces_they_come() -> None:
    text = (b":\n\n" + event(1) + b":\r\n\r\n" + event(2) + b"event: complete\ndata: \n\n").replace(b"{", b"{ ")
    whole = [(frame.kind, frame.data) for frame in EventStream().feed(text)]
    pieces = EventStream()
    single = [(frame.kind, frame.data) for byte in text for frame in pieces.feed(bytes([byte]))]

    assert single == whole
    assert [kind for kind, _ in whole] == ["", "next", "", "next", "complete"]


# ---------------------------------------------------------------------- the contract


def test_every_document_fits_the_schema() -> None:
    chat, saga, event_, sent = talk(), types.SAGA_FIELDS, types.EVENT_FIELDS, []
    talks: list[Steps[Any]] = [
        chat.book({}, saga),
        chat.pay(ID, None, saga),
        chat.confirm(ID, saga),
        chat.cancel(ID, None, saga),
        chat.saga(ID, saga),
        chat.follow(ID, 0, event_, pruned="fail", give_up=None, on_status=lambda status: None),
    ]
    for steps in talks:
        assert isinstance(next(steps), Token)
        request = steps.send(None)
        assert isinstance(request, Request)
        sent.append(json.loads(request.body)["query"])
        assert validate(SCHEMA, parse(sent[-1])) == []
    assert sent == documents()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BookFlight, "BookFlightInput"),
        (Segment, "SegmentInput"),
        (Passenger, "PassengerInput"),
        (Saga, "Saga"),
        (SagaEvent, "SagaEvent"),
    ],
)
def test_every_key_of_a_type_is_the_apis(ours: type, theirs: str) -> None:
    known = SCHEMA.type_map[theirs]
    keys = set(inspect.get_annotations(ours))
    if isinstance(known, GraphQLObjectType):
        assert keys <= set(known.fields)
    else:
        assert keys == set(known.fields)  # type: ignore[attr-defined]
