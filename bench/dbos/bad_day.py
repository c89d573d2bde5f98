"""The booking as a DBOS program, on a provider's bad day; as `bench.provider.contestant`, as far as DBOS's API goes.

`python -m bench.dbos.bad_day DATABASE_URL SPEED ORDERS`, run by the Python of `.venv-dbos`. It follows the
documentation of DBOS: each call is a step with retries and exponential backoff, under an idempotency key made from the
workflow's ID; if a step gives up, the workflow undoes what was done, by steps again; a queue bounds the workflows at
once. With SPEED every interval is so much shorter, as DBOS reads the machine's clock.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource
from sqlalchemy import text

#: As the guard's: calls at once.
AT_ONCE: Final = 64
#: Cancellations have a queue of their own, so that they do not stand behind bookings.
BOOKINGS: Final = "bookings"
CANCELLATIONS: Final = "cancellations"
POLL_SECONDS: Final = 0.1
TIMEOUT_SECONDS: Final = 8.0
#: 1, 2, 4, ... s: as long as a hold, 15 minutes, and for an undo 18 hours.
TRIES: Final = 10
UNDO_TRIES: Final = 16
CANCELLED_AFTER_SECONDS: Final = 2.0
AMOUNT: Final = 100_00


class Provider:
    """Stripe over HTTP, with an error for every answer that is none; counts its requests."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url
        self._api_key = api_key
        self._lock = threading.Lock()
        self.calls = 0

    def post(self, path: str, key: str, **wish: str) -> dict[str, Any]:
        """Done once under this key, however often it is asked for."""
        return self._ask(path, urllib.parse.urlencode(wish).encode(), {"Idempotency-Key": key})

    def get(self, path: str) -> dict[str, Any]:
        """How things stand."""
        return self._ask(path, None, {})

    def _ask(self, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        with self._lock:
            self.calls += 1
        request = urllib.request.Request(
            f"{self._url}/v1{path}", body, {"Authorization": f"Bearer {self._api_key}", **headers}
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def main() -> None:
    """Be ready, begin when told to, and say what came of it."""
    url, speed, orders = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    settings = orders["settings"]
    name = uuid.uuid4().hex[:8]
    DBOS(
        config={
            "name": f"bad-day-{name}",
            "system_database_url": url,
            "dbos_system_schema": f"dbos_{name}",
            "sys_db_pool_size": AT_ONCE,
            "max_executor_threads": 3 * AT_ONCE,
            "log_level": "CRITICAL",
        }
    )
    datasource = SQLAlchemyDatasource.create(url, engine_kwargs={"pool_size": AT_ONCE, "pool_timeout": 60})
    with datasource.engine.begin() as connection:
        connection.execute(
            text(f"CREATE TABLE holds_{name} (id text PRIMARY KEY, status text NOT NULL, reference text)")
        )
    provider = Provider(settings["stripe_api_base"], settings["stripe_api_key"])
    book, cancel = _workflows(datasource, provider, f"holds_{name}", 1.0 / speed)
    DBOS.launch()
    for queue in (BOOKINGS, CANCELLATIONS):
        DBOS.register_queue(queue, worker_concurrency=AT_ONCE, polling_interval_sec=POLL_SECONDS)
    _live(
        orders,
        speed,
        provider,
        lambda saga: _begin(BOOKINGS, book, saga, saga),
        lambda saga: _begin(CANCELLATIONS, cancel, f"cancel-{saga}", saga),
    )


Begin = Callable[[str], Any]


def _begin(queue: str, workflow: Callable[[str], str], id_: str, saga: str) -> Any:
    with SetWorkflowID(id_):
        return DBOS.enqueue_workflow(queue, workflow, saga)


def _live(orders: dict[str, Any], speed: int, provider: Provider, book: Begin, cancel: Begin) -> None:
    early = [str(uuid.uuid4()) for _ in range(orders["cancellations"])]
    for handle in [book(saga) for saga in early]:
        handle.get_result()
    _say({"ready": True})
    sys.stdin.readline()
    before, began = provider.calls, time.monotonic()
    away: list[int] = []

    def count_when_told() -> None:
        sys.stdin.readline()
        away.append(provider.calls)

    threading.Thread(target=count_when_told, daemon=True).start()
    sagas = [str(uuid.uuid4()) for _ in range(orders["bookings"])]
    running = {saga: book(saga) for saga in sagas}
    if early and not orders["at_once"]:
        time.sleep(CANCELLED_AFTER_SECONDS)
    cancelled_at = time.monotonic()
    undoing = {saga: cancel(saga) for saga in early}
    until = began + orders["seconds_max"] / speed
    ends = {saga: _end(handle, until) for saga, handle in (*running.items(), *undoing.items())}
    last = max([at for saga in sagas if (at := ends[saga][1])], default=began)
    last_cancelled = max([at for saga in early if (at := ends[saga][1])], default=cancelled_at)
    _say(
        {
            "refused": 0,
            "booked": [saga for saga in sagas if ends[saga][0] == "BOOKED"],
            "undone": [saga for saga in sagas if ends[saga][0] == "UNDONE"],
            "cancelled": [saga for saga in early if ends[saga][0] == "CANCELLED"],
            "open": sum(end == "OPEN" for end, _ in ends.values()),
            "failures": dict(Counter(end for end, _ in ends.values() if end not in ("BOOKED", "CANCELLED"))),
            "calls": provider.calls - before,
            "calls_away": away[0] - before if away else 0,
            "seconds": (last - began) * speed,
            "cancelled_seconds": (last_cancelled - cancelled_at) * speed,
        }
    )


def _end(handle: Any, until: float) -> tuple[str, float]:
    """How a workflow has ended, and when about; OPEN if it has not, and ERROR if it was given up."""
    while time.monotonic() < until:
        found = handle.get_status()
        if found.status in ("SUCCESS", "ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            ended_seconds_ago = time.time() - (found.completed_at or found.updated_at) / 1e3
            return (handle.get_result() if found.status == "SUCCESS" else "ERROR"), time.monotonic() - ended_seconds_ago
        time.sleep(0.05)
    return "OPEN", 0.0


def _workflows(
    datasource: SQLAlchemyDatasource, provider: Provider, holds: str, interval_seconds: float
) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """A booking, and the cancellation of one; both are given the booking's ID."""

    def set_status(saga: str, status: str, reference: str | None = None) -> None:
        datasource.sql_session().execute(
            text(
                f"INSERT INTO {holds} VALUES (:id, :status, :reference) ON CONFLICT (id) DO UPDATE"
                f" SET status = :status, reference = coalesce(:reference, {holds}.reference)"
            ),
            {"id": saga, "status": status, "reference": reference},
        )

    settle = datasource.transaction()(set_status)
    retried = {"retries_allowed": True, "interval_seconds": interval_seconds, "backoff_rate": 2.0}

    @DBOS.step(max_attempts=TRIES, **retried)
    def open_payment(saga: str) -> str:
        wish = {
            "amount": str(AMOUNT),
            "currency": "usd",
            "capture_method": "manual",
            "payment_method": "pm_card_visa",
            "metadata[correlation_id]": saga,
        }
        return str(provider.post("/payment_intents", f"{saga}:open", **wish)["id"])

    @DBOS.step(max_attempts=TRIES, **retried)
    def authorize(saga: str, reference: str) -> None:
        provider.post(f"/payment_intents/{reference}/confirm", f"{saga}:authorize")

    @DBOS.step(max_attempts=TRIES, **retried)
    def capture(saga: str, reference: str) -> None:
        provider.post(f"/payment_intents/{reference}/capture", f"{saga}:capture")

    @DBOS.step(max_attempts=UNDO_TRIES, **retried)
    def undo(saga: str, reference: str) -> None:
        match provider.get(f"/payment_intents/{reference}")["status"]:
            case "succeeded":
                provider.post("/refunds", f"{saga}:refund", payment_intent=reference)
            case "canceled":
                pass
            case _:
                provider.post(f"/payment_intents/{reference}/cancel", f"{saga}:void")

    @DBOS.step()
    def reference_of(saga: str) -> str:
        with datasource.engine.connect() as connection:
            return str(connection.scalar(text(f"SELECT reference FROM {holds} WHERE id = :id"), {"id": saga}))

    def book(saga: str) -> str:
        settle(saga, "HELD")
        reference = None
        try:
            reference = open_payment(saga)
            authorize(saga, reference)
            settle(saga, "AUTHORIZED", reference)
            settle(saga, "MILES_AWARDED")
            capture(saga, reference)
        except Exception:
            if reference is not None:
                undo(saga, reference)
            settle(saga, "RELEASED")
            return "UNDONE"
        settle(saga, "BOOKED")
        return "BOOKED"

    def cancel(saga: str) -> str:
        settle(saga, "CANCELLED")
        undo(saga, reference_of(saga))
        return "CANCELLED"

    booking: Callable[[str], str] = DBOS.workflow()(book)
    cancellation: Callable[[str], str] = DBOS.workflow()(cancel)
    return booking, cancellation


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
