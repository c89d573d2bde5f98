"""Python's gql: queries and mutations over HTTP, subscriptions over a WebSocket or as multipart over HTTP."""

# #region client
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from aiohttp import ClientTimeout
from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.async_transport import AsyncTransport
from gql.transport.websockets import WebsocketsTransport
from seatsaga_client import resume

BOOK_FLIGHT = """mutation ($input: BookFlightInput!) {
  bookFlight(input: $input) {
    saga { correlationId status }
    errors {
      __typename
      ... on UserError { message path }
      ... on PriceChangedError { total { amount currency } }
    }
  }
}"""
SAGAS = """query ($first: Int!, $after: String) {
  sagas(first: $first, after: $after) {
    edges { node { correlationId status } }
    pageInfo { hasNextPage endCursor }
  }
}"""
SAGA_EVENTS = """subscription ($correlationId: UUID!, $after: Int!) {
  sagaEvents(correlationId: $correlationId, after: $after) { sequence type step message }
}"""


def over_http(url: str, token: str, silence_seconds: float = 25) -> AIOHTTPTransport:
    """Sends queries and mutations; subscriptions arrive as multipart, with a sign of life at least every 10 s."""
    silence = ClientTimeout(total=None, sock_connect=10, sock_read=silence_seconds)
    return AIOHTTPTransport(url, headers={"Authorization": f"Bearer {token}"}, client_session_args={"timeout": silence})


def over_websocket(socket_url: str, token: str, silence_seconds: float = 25) -> WebsocketsTransport:
    """Carries subscriptions; it also carries queries and mutations. A socket that does not answer a ping is lost."""
    return WebsocketsTransport(
        socket_url,
        init_payload={"authorization": f"Bearer {token}"},
        ping_interval=silence_seconds / 2,
        pong_timeout=silence_seconds / 2,
        close_timeout=1,
    )


async def ask(transport: AsyncTransport, document: str, **variables: Any) -> dict[str, Any]:
    """Return the data of a query or a mutation. TransportQueryError has the errors, with their extensions."""
    async with Client(transport=transport) as session:
        data: dict[str, Any] = await session.execute(GraphQLRequest(document, variable_values=variables))
        return data


def follow(
    connect: Callable[[], AsyncTransport], correlation_id: str, after: int = 0, **options: Any
) -> AsyncIterator[dict[str, Any]]:
    """Yield every event of a saga once, until the saga ends. `options` are those of resume.

    `connect` is called after each lost connection, so that it uses the newest token.
    """

    async def subscribe(seen: int) -> AsyncGenerator[dict[str, Any], None]:
        variables = {"correlationId": correlation_id, "after": seen}
        async with Client(transport=connect()) as session:
            async for result in session.subscribe(GraphQLRequest(SAGA_EVENTS, variable_values=variables)):
                yield result["sagaEvents"]

    return resume(subscribe, after, **options)


async def sagas(transport: AsyncTransport, first: int) -> AsyncIterator[dict[str, Any]]:
    """Yield all sagas, newest first, read in pages."""
    after = None
    async with Client(transport=transport) as session:
        while True:
            variables = {"first": first, "after": after}
            page = (await session.execute(GraphQLRequest(SAGAS, variable_values=variables)))["sagas"]
            for edge in page["edges"]:
                yield edge["node"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]


def advice(error: dict[str, Any]) -> str:
    """Return the text for a customer whose journey was not booked."""
    match error["__typename"]:
        case "PriceChangedError":
            return f"It costs {error['total']['amount']} {error['total']['currency']} now. Book at this price?"
        case "FlightNotFoundError" | "FlightDepartedError":
            return "Choose another flight."
        case _:
            message: str = error["message"]
            return message


# #endregion
