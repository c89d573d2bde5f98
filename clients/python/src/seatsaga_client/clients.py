"""The blocking client and the asyncio client: they perform the steps of the same conversations."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, closing
from typing import Any, Self, TypeVar

import httpx

from seatsaga_client.conversation import Conversation
from seatsaga_client.effort import Timing
from seatsaga_client.errors import ApiError, UnavailableError
from seatsaga_client.following import Pruned, Status, nobody
from seatsaga_client.steps import Answer, Emit, HangUp, Pause, Receive, Request, Steps, Token
from seatsaga_client.types import EVENT_FIELDS, SAGA_FIELDS, BookFlight, Saga, SagaEvent

__all__ = ["AsyncClient", "Client"]

T = TypeVar("T")
_EVENT_STREAM = "text/event-stream"


class _Shared:
    """What both clients are made of."""

    def __init__(self, url: str, token: object, timing: Timing) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ApiError("BAD_URL", f"{url} is not the URL of a server; give one like http://127.0.0.1:8000.")
        # Without TLS no authorities are loaded: that takes longer than a request.
        self._is_secure = parsed.scheme == "https"
        self._timing = timing
        self._conversation = Conversation(url, has_new_tokens=callable(token), timing=timing)
        self.url = url.rstrip("/")

    def server_now(self) -> float:
        """The time by the server's clock, to about a second, as its last answer told it; seconds since the epoch.

        Count down to `awaiting.until` by it: this machine's clock may be wrong.
        """
        return self._conversation.server_now()

    def _request(self, http: httpx.Client | httpx.AsyncClient, step: Request) -> httpx.Request:
        timeout = httpx.Timeout(self._timing.connect, read=step.silence_seconds)
        return http.build_request(
            "POST", self._conversation.endpoint, content=step.body, headers=dict(step.headers), timeout=timeout
        )

    def _unreachable(self, error: httpx.HTTPError) -> UnavailableError:
        why = str(error) or type(error).__name__
        return UnavailableError("DISCONNECTED", f"No server answers at {self.url} ({why}).")


class Client(_Shared):
    """Talks to the server at `url`; the calling thread waits. Use it as a context manager, or call `close`.

    `token`: a bearer token, or a function that returns the current one: it is called for each request, so that an
    expired token is replaced. What it raises ends the call. `http`: your own httpx.Client, for certificates or a
    proxy; it stays open.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | None] | None = None,
        *,
        http: httpx.Client | None = None,
        timing: Timing = Timing(),
    ) -> None:
        super().__init__(url, token, timing)
        self._token = token
        self._own = None if http is not None else httpx.Client(verify=self._is_secure)
        self._http = http or self._own or httpx.Client()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._own is not None:
            self._own.close()

    def book(self, booking: BookFlight, *, fields: str = SAGA_FIELDS) -> Saga:
        """Book, and return the saga as it begins; `wait` or `follow` tell what comes of it.

        Guarantee: it books once, also if answers are lost. To book once over several runs of a program, give the
        booking a `correlationId` that you keep. Raises RefusedError for what the customer can mend.
        """
        return self._run(self._conversation.book(booking, fields))

    def hold(self, booking: BookFlight, *, fields: str = SAGA_FIELDS) -> Saga:
        """Hold the seats, and pay later by `pay`; the saga waits until `awaiting.until`. Else as `book`."""
        return self._run(self._conversation.book({**booking, "payLater": True}, fields))

    def pay(self, correlation_id: str, card: str | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """Pay for held seats with the provider's token for a card; after a decline, with another card."""
        return self._run(self._conversation.pay(correlation_id, card, fields))

    def confirm(self, correlation_id: str, *, fields: str = SAGA_FIELDS) -> Saga:
        """Let the server look at once whether the card's holder has answered the bank."""
        return self._run(self._conversation.confirm(correlation_id, fields))

    def cancel(self, correlation_id: str, reason: str | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """Stop a saga and undo what it did. Raises RefusedError if it is too late."""
        return self._run(self._conversation.cancel(correlation_id, reason, fields))

    def saga(self, correlation_id: str, *, fields: str = SAGA_FIELDS) -> Saga:
        """The saga as it stands. Raises ApiError NOT_FOUND if there is none."""
        return self._run(self._conversation.saga(correlation_id, fields))

    def wait(self, correlation_id: str, seconds: float | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """The saga once it has ended, or waits for its customer or an operator; after `seconds` as it then stands.

        If the server is away for so long, raises UnavailableError instead.
        """
        return self._run(self._conversation.wait(correlation_id, seconds, fields))

    def follow(
        self,
        correlation_id: str,
        after: int = 0,
        *,
        fields: str = EVENT_FIELDS,
        pruned: Pruned = "fail",
        give_up: float | None = None,
        on_status: Callable[[Status], None] = nobody,
    ) -> Iterator[SagaEvent]:
        """Every event of a saga above `after`, once and in order; ends after the terminal event, and never before.

        A lost connection goes on after the last event, whatever the loss was. It ends with an exception only if no
        other attempt can mend it: an ApiError NOT_FOUND, FORBIDDEN, CURSOR_AHEAD, UNAUTHENTICATED (a new token was
        refused, too) or BAD_USER_INPUT. If the events after `after` were deleted, it ends with HISTORY_PRUNED
        (`fail`) or goes on with the oldest that is left (`skip`). `give_up`: raise UnavailableError after so many
        seconds without the server; None: never. `on_status` hears of each connection and each loss.
        """
        return self._drive(
            self._conversation.follow(
                correlation_id, after, fields, pruned=pruned, give_up=give_up, on_status=on_status
            )
        )

    def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, retry: bool = False
    ) -> dict[str, Any]:
        """The data of any query or mutation. `retry`: ask again if the server is away; for what may be repeated."""
        return self._run(self._conversation.execute(document, variables or {}, retry=retry))

    def _run(self, steps: Steps[T]) -> T:
        with closing(self._drive(_emitted(steps))) as values:
            value: T = next(values)
            return value

    def _drive(self, steps: Steps[None]) -> Generator[Any, None, None]:
        response: httpx.Response | None = None
        chunks: Iterator[bytes] = iter(())
        result: Any = None
        failure: ApiError | None = None
        try:
            while True:
                try:
                    step = steps.send(result) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                result, failure = None, None
                try:
                    match step:
                        case Token():
                            result = self._token() if callable(self._token) else self._token
                        case Request():
                            response = self._http.send(self._request(self._http, step), stream=True)
                            if step.is_stream and _is_event_stream(response):
                                chunks, body = response.iter_bytes(), None
                            else:
                                body = response.read()
                            result = Answer(response.status_code, response.headers, body)
                        case Receive():
                            result = next(chunks, b"")
                        case HangUp() if response is not None:
                            response.close()
                        case Pause():
                            time.sleep(step.seconds)
                        case Emit():
                            yield step.value
                except httpx.HTTPError as error:
                    failure = self._unreachable(error)
        finally:
            steps.close()
            if response is not None:
                response.close()


class AsyncClient(_Shared):
    """As Client, for asyncio: each method is a coroutine, `follow` is an asynchronous iterator.

    `token` may also be a coroutine function.
    """

    def __init__(
        self,
        url: str,
        token: str | Callable[[], str | Awaitable[str | None] | None] | None = None,
        *,
        http: httpx.AsyncClient | None = None,
        timing: Timing = Timing(),
    ) -> None:
        super().__init__(url, token, timing)
        self._token = token
        self._own = None if http is not None else httpx.AsyncClient(verify=self._is_secure)
        self._http = http or self._own or httpx.AsyncClient()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        if self._own is not None:
            await self._own.aclose()

    async def book(self, booking: BookFlight, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.book(booking, fields))

    async def hold(self, booking: BookFlight, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.book({**booking, "payLater": True}, fields))

    async def pay(self, correlation_id: str, card: str | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.pay(correlation_id, card, fields))

    async def confirm(self, correlation_id: str, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.confirm(correlation_id, fields))

    async def cancel(self, correlation_id: str, reason: str | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.cancel(correlation_id, reason, fields))

    async def saga(self, correlation_id: str, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.saga(correlation_id, fields))

    async def wait(self, correlation_id: str, seconds: float | None = None, *, fields: str = SAGA_FIELDS) -> Saga:
        """See Client."""
        return await self._run(self._conversation.wait(correlation_id, seconds, fields))

    def follow(
        self,
        correlation_id: str,
        after: int = 0,
        *,
        fields: str = EVENT_FIELDS,
        pruned: Pruned = "fail",
        give_up: float | None = None,
        on_status: Callable[[Status], None] = nobody,
    ) -> AsyncGenerator[SagaEvent, None]:
        """See Client."""
        return self._drive(
            self._conversation.follow(
                correlation_id, after, fields, pruned=pruned, give_up=give_up, on_status=on_status
            )
        )

    async def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, retry: bool = False
    ) -> dict[str, Any]:
        """See Client."""
        return await self._run(self._conversation.execute(document, variables or {}, retry=retry))

    async def _run(self, steps: Steps[T]) -> T:
        async with aclosing(self._drive(_emitted(steps))) as values:
            value: T = await anext(values)
            return value

    async def _drive(self, steps: Steps[None]) -> AsyncGenerator[Any, None]:
        response: httpx.Response | None = None
        chunks: AsyncIterator[bytes]
        result: Any = None
        failure: ApiError | None = None
        try:
            while True:
                try:
                    step = steps.send(result) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                result, failure = None, None
                try:
                    match step:
                        case Token():
                            token = self._token() if callable(self._token) else self._token
                            result = await token if inspect.isawaitable(token) else token
                        case Request():
                            response = await self._http.send(self._request(self._http, step), stream=True)
                            if step.is_stream and _is_event_stream(response):
                                chunks, body = response.aiter_bytes(), None
                            else:
                                body = await response.aread()
                            result = Answer(response.status_code, response.headers, body)
                        case Receive():
                            result = await anext(chunks, b"")
                        case HangUp() if response is not None:
                            await response.aclose()
                        case Pause():
                            await asyncio.sleep(step.seconds)
                        case Emit():
                            yield step.value
                except httpx.HTTPError as error:
                    failure = self._unreachable(error)
        finally:
            steps.close()
            if response is not None:
                await response.aclose()


def _emitted(steps: Steps[T]) -> Steps[None]:
    """The same steps, and what they return as the last one."""
    yield Emit((yield from steps))


def _is_event_stream(response: httpx.Response) -> bool:
    content_type: str = response.headers.get("content-type", "")
    return response.status_code == 200 and content_type.startswith(_EVENT_STREAM)
