"""A purchase with seatsaga-client: hold seats, pay, follow to the end."""

# #region client
from collections.abc import Callable, Iterator

from seatsaga_client import Client, Passenger, RefusedError, SagaEvent


def buy(
    url: str, token: Callable[[], str], flight_id: str, passengers: list[Passenger], card: str | None
) -> Iterator[SagaEvent]:
    """Hold seats and pay for them; yield what happens. `token` is called for each request."""
    with Client(url, token) as client:
        held = client.hold({"segments": [{"flightId": flight_id}], "passengers": passengers})
        for event in client.follow(held["correlationId"]):
            yield event
            if event["type"] == "STEP_WAITING":
                saga = client.saga(held["correlationId"])
                awaiting = saga["awaiting"]
                if awaiting is None or awaiting["__typename"] != "PaymentAwaited":
                    continue
                if awaiting["lastFailure"] is not None:  # the card was declined; another may be tried
                    client.cancel(held["correlationId"], awaiting["lastFailure"]["message"])
                else:
                    client.pay(held["correlationId"], card)


def advise(error: RefusedError) -> str:
    """Return the text for a customer whose journey was not booked. `error.errors` has more, such as the new price."""
    if error.code in ("FLIGHT_NOT_FOUND", "FLIGHT_DEPARTED"):
        return "Choose another flight."
    return error.message


# #endregion
