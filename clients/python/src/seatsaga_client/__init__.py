"""Books flights with seatsaga, and follows each booking to its end.

::

    from seatsaga_client import Client

    with Client("http://127.0.0.1:8000", token=current_token) as client:
        saga = client.book({"segments": [{"flightId": flight}], "passengers": [ada]})
        for event in client.follow(saga["correlationId"]):
            print(event["sequence"], event["type"])

A booking is made once, whatever answers are lost, and a follow ends with the saga, whatever connections are lost.
"""

from seatsaga_client.clients import AsyncClient, Client
from seatsaga_client.documents import documents
from seatsaga_client.effort import Timing
from seatsaga_client.errors import ApiError, RefusedError, UnavailableError
from seatsaga_client.following import Pruned, Status, resume
from seatsaga_client.types import EVENT_FIELDS, OVER, SAGA_FIELDS, BookFlight, Passenger, Saga, SagaEvent, Segment

__all__ = [
    "EVENT_FIELDS",
    "OVER",
    "SAGA_FIELDS",
    "ApiError",
    "AsyncClient",
    "BookFlight",
    "Client",
    "Passenger",
    "Pruned",
    "RefusedError",
    "Saga",
    "SagaEvent",
    "Segment",
    "Status",
    "Timing",
    "UnavailableError",
    "documents",
    "resume",
]
