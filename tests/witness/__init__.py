"""A small Stripe for tests, in a process of its own. Its books are the judge of what was charged.

::

    async with Witness.running() as witness:        # or the fixture `witness` of tests/witness/fixtures.py
        shop = witness.merchant()                   # one account at it: key, books, faults and clock of its own
        gateway = StripeGateway(shop.api_key, api_base=witness.url)
        await shop.set(answer_seconds=3.0, requests_per_second=25)
        await shop.fault("capture", what="ERROR", after_effect=True)
        ...
        async with witness.away(): ...              # refuses connections, and cuts those that it has
        books = await shop.books()
        assert books.of(correlation_id).captured == 123_45

Each API key (`sk_test_...`) is a merchant, so tests and cases that share the process share nothing else. Only
being away is the whole process's: a test that sends it away runs one of its own.

**What it knows of Stripe:** PaymentIntents with manual capture (create, retrieve, confirm, capture, cancel, list),
PaymentMethods from card numbers, the holder's answer (`_authenticate`, as localstripe has it), refunds, charges,
disputes, events and the balance; `expand`; lists, newest first, with `created[gte|gt|lte|lt]`, `limit` and
`starting_after`.
Idempotency keys store the first answer for a day, also a 402 or a 500; the same key with other parameters is an
`idempotency_error`; a key whose request is still running is answered 409. `cards` has the test tokens.

**What goes wrong, as told:**

- `set(...)`: `answer_seconds` (effect first, then this long until the answer), `requests_per_second` and
  `at_once_max` (more is answered 429, with Retry-After of `retry_after_seconds`), `access` (ALLOWED, REVOKED: 401,
  FORBIDDEN: 403), `refunds` (SUCCEED, PEND or FAIL_LATER) and `refund_seconds` until a refund is settled (None: when
  `settle_refund` is called), `authorization_seconds` until an authorization lapses (`capture_before`).
- `fault(operation, what=...)`: ERROR (500, stored under its key), PAGE (a proxy's 502, not stored), RESET (the
  connection is cut), SLOW; before or after the effect; `times`, or a `share` of all requests.
- `advance(seconds)` moves the merchant's clock, and what falls due happens: refunds, lapses, forgotten keys.
- `webhooks(url, secret)`: each event is sent once, signed. `held=True` keeps them, until `release(order=..., times=2)`
  sends them: late, twice, in another order. `kinds`: the types that it is told of.
- `dispute`, `settle_dispute`, `elsewhere` (somebody captures, cancels or refunds in the dashboard).

`books()` returns a `Books`: per reference what was authorized, captured, refunded and disputed; and the requests by
operation, answer and minute, and how many were under way at once.

`python -m tests.witness [--port N] [--control-port N]` prints two URLs: the API's, and the control plane's
(`/_control/{api key}/...`), which also answers while the API is away.
"""

from tests.witness.books import Books, Calls, PaymentRecord
from tests.witness.handle import Merchant, Witness

__all__ = ["Books", "Calls", "Merchant", "PaymentRecord", "Witness"]
