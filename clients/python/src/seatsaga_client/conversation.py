"""What is said to the server and when it is said again: the whole library, without a network.

Each public method is a generator of steps (see `steps`), so that the blocking and the asyncio client do the same.
A follow, as a state machine::

               ┌────────────────────────── pause (backoff, or what the server asks) ◀──────────┐
               ▼                                                                               │
    ask for the events after the last one ──▶ read ──▶ event: hand it over, once and in order  │
               │                               │  ▲──────┘                                     │
               │ refused                       │ cut, silent, stopped, expired, too slow ──────┤
               ▼                               │ complete, but the saga goes on ───────────────┘
    never will: raise the error                └ terminal event: over
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from seatsaga_client.answers import are_graphql, data_of, error_of, graphql_error, seconds_of_date
from seatsaga_client.documents import event_document, mutation_document, saga_document
from seatsaga_client.effort import Effort, Timing
from seatsaga_client.errors import ApiError, RefusedError, UnavailableError
from seatsaga_client.event_stream import EventStream
from seatsaga_client.following import Following, Pruned, Status
from seatsaga_client.steps import Answer, Emit, HangUp, Pause, Receive, Request, Steps, Token
from seatsaga_client.types import OVER, Saga, SagaEvent

__all__ = ["Conversation"]

#: How long one request waits for a saga: less than the 30 s after which proxies give up.
WAIT_SECONDS_MAX: Final = 20
#: The pause where the server does not wait, as while it stops.
WAIT_AGAIN_SECONDS: Final = 1.0
#: A Date header has whole seconds, so a smaller difference of the clocks does not count.
CLOCK_SECONDS: Final = 1.5
#: Where nothing more happens unless the customer or an operator acts.
RESTING: Final = OVER | {"WAITING", "STUCK", "PARKED"}


class Conversation:
    """With the server at `url`. `has_new_tokens`: another token may be had if one is refused."""

    def __init__(self, url: str, *, has_new_tokens: bool, timing: Timing) -> None:
        self._has_new_tokens = has_new_tokens
        self._timing = timing
        self._ahead_seconds = 0.0
        self.endpoint = url if url.rstrip("/").endswith("/graphql") else f"{url.rstrip('/')}/graphql"

    def server_now(self) -> float:
        return time.time() + self._ahead_seconds

    # ---------------------------------------------------------------------- requests

    def execute(self, document: str, variables: Mapping[str, Any], *, retry: bool) -> Steps[dict[str, Any]]:
        data, _ = yield from self._execute(document, variables, retry=retry)
        return data

    def book(self, booking: Mapping[str, Any], fields: str) -> Steps[Saga]:
        wanted = {"correlationId": str(uuid.uuid4()), **booking}
        return (yield from self._mutate("bookFlight", wanted, fields))

    def pay(self, correlation_id: str, card: str | None, fields: str) -> Steps[Saga]:
        wanted = {"correlationId": correlation_id, "payment": {"token": card}}
        return (yield from self._mutate("payForHold", wanted, fields))

    def confirm(self, correlation_id: str, fields: str) -> Steps[Saga]:
        wanted = {"correlationId": correlation_id}
        return (yield from self._mutate("confirmCard", wanted, fields, done="NOTHING_TO_PAY"))

    def cancel(self, correlation_id: str, reason: str | None, fields: str) -> Steps[Saga]:
        wanted = {"correlationId": correlation_id, "reason": reason}
        return (yield from self._mutate("cancelSaga", wanted, fields))

    def saga(
        self, correlation_id: str, fields: str, *, wait_seconds: int = 0, within: float | None = None
    ) -> Steps[Saga]:
        variables = {"id": correlation_id, "seconds": wait_seconds}
        data, _ = yield from self._execute(
            saga_document(fields), variables, retry=True, wait_seconds=wait_seconds, within=within
        )
        if data["saga"] is None:
            raise ApiError("NOT_FOUND", f"There is no saga {correlation_id}.")
        return cast(Saga, data["saga"])

    def wait(self, correlation_id: str, seconds: float | None, fields: str) -> Steps[Saga]:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            asked_at = time.monotonic()
            left = WAIT_SECONDS_MAX if until is None else max(0, min(WAIT_SECONDS_MAX, round(until - asked_at)))
            within = None if until is None else max(0.0, until - asked_at)
            saga = yield from self.saga(correlation_id, fields, wait_seconds=left, within=within)
            now = time.monotonic()
            if saga["status"] in RESTING or (until is not None and now >= until):
                return saga
            if now < asked_at + WAIT_AGAIN_SECONDS:
                yield Pause(WAIT_AGAIN_SECONDS if until is None else min(WAIT_AGAIN_SECONDS, until - now))

    def _mutate(self, name: str, wanted: Mapping[str, Any], fields: str, *, done: str | None = None) -> Steps[Saga]:
        """The saga after a mutation that may be repeated. `done`: what a repetition is refused with if the first
        request, whose answer was lost, has been obeyed.
        """
        try:
            data, tries = yield from self._execute(mutation_document(name, fields), {"input": wanted}, retry=True)
            payload: dict[str, Any] = data[name]
            if payload["errors"]:
                if tries > 1 and all(error["code"] == done for error in payload["errors"]):
                    return (yield from self.saga(wanted["correlationId"], fields))
                raise RefusedError(payload["errors"])
        except ApiError as error:
            error.correlation_id = wanted["correlationId"]
            raise
        return cast(Saga, payload["saga"])

    def _execute(
        self,
        document: str,
        variables: Mapping[str, Any],
        *,
        retry: bool,
        wait_seconds: int = 0,
        within: float | None = None,
    ) -> Steps[tuple[dict[str, Any], int]]:
        """The data, and how many requests it took. `within`: gives up earlier, after so many seconds."""
        give_up = self._timing.give_up
        effort = self._effort(give_up if within is None else min(give_up, within))
        prefer = {"Prefer": f"wait={wait_seconds}"} if wait_seconds else {}
        while True:
            try:
                answer = yield from self._send(
                    document,
                    variables,
                    {"Accept": "application/graphql-response+json, application/json;q=0.9", **prefer},
                    silence_seconds=self._timing.answer + wait_seconds,
                )
                return data_of(answer), effort.failures + 1
            except ApiError as error:
                if not retry:
                    raise
                yield Pause(effort.pause_after(error))

    def _send(
        self,
        document: str,
        variables: Mapping[str, Any],
        headers: Mapping[str, str],
        *,
        silence_seconds: float,
        is_stream: bool = False,
    ) -> Steps[Answer]:
        token: str | None = yield Token()
        token = token and token.strip()  # of a file, it has a line end
        if token and not (token.isascii() and token.isprintable()):
            raise ApiError("UNAUTHENTICATED", "The token has characters that no header may have.")
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        body = json.dumps({"query": document, "variables": variables}).encode()
        sent_at = time.time()
        answer: Answer = yield Request(
            body, {"Content-Type": "application/json", **headers, **bearer}, silence_seconds, is_stream
        )
        self._learn_time(answer, sent_at)
        return answer

    def _learn_time(self, answer: Answer, sent_at: float) -> None:
        if (now := seconds_of_date(answer.headers.get("date", ""))) is not None:
            ahead = now + 0.5 - (sent_at + time.time()) / 2
            self._ahead_seconds = ahead if abs(ahead) > CLOCK_SECONDS else 0.0

    # ---------------------------------------------------------------------- events

    def follow(
        self,
        correlation_id: str,
        after: int,
        fields: str,
        *,
        pruned: Pruned,
        give_up: float | None,
        on_status: Callable[[Status], None],
    ) -> Steps[None]:
        following = Following(after, effort=self._effort(give_up), pruned=pruned, on_status=on_status)
        while True:
            try:
                yield from self._read(following, correlation_id, fields)
                return
            except ApiError as error:
                yield HangUp()
                yield Pause(following.lost(error))

    def _read(self, following: Following, correlation_id: str, fields: str) -> Steps[None]:
        """Hand over the events of one connection; return if the saga is over. Raises ApiError if it is not."""
        answer = yield from self._send(
            event_document(fields),
            {"id": correlation_id, "after": following.after},
            # A proxy that compresses a stream collects its events first.
            {"Accept": "text/event-stream", "Accept-Encoding": "identity"},
            silence_seconds=self._timing.silence,
            is_stream=True,
        )
        if answer.body is not None:
            raise error_of(answer)
        following.connected()
        frames, signs = EventStream(), 0
        while chunk := (yield Receive()):
            for frame in frames.feed(chunk):
                match frame.kind:
                    case "next":
                        event = _event_of(frame.data)
                        if following.is_new(event):
                            yield Emit(event)
                            if following.is_last(event):
                                return
                    case "complete" if following.completed():
                        return
                    case "complete":
                        raise UnavailableError("DISCONNECTED", "The stream ended before the saga.")
                    case _:
                        signs += 1
                        # The first comes at once, and does not show that the connection lasts.
                        if signs > 1:
                            following.lasts()
        raise UnavailableError("DISCONNECTED", "The connection ended before the saga.")

    def _effort(self, give_up: float | None) -> Effort:
        return Effort(self._timing, give_up=give_up, has_new_tokens=self._has_new_tokens)


def _event_of(data: bytes) -> SagaEvent:
    try:
        result = json.loads(data)
        if not result.get("errors"):
            event: SagaEvent = result["data"]["sagaEvents"]
            return event
        if are_graphql(errors := result["errors"]):
            raise graphql_error(errors)
    except (ValueError, LookupError, AttributeError, TypeError):
        pass
    raise UnavailableError("DISCONNECTED", "The stream is damaged.")
