"""HTTP and WebSocket: GraphQL over both, who is asking, how much of it, health, and one id a request.

::

    graphql          the door, /graphql; `service` begins operations for it, whichever way they come
    negotiation, operations, bodies, answers      GraphQL over HTTP
    streams                                       subscriptions over it
    socket, socket_channel, socket_operation      graphql-transport-ws: the session, its frames, an operation of it
    subscribers      who follows something; connections: whether they keep up
    auth, jwks, operators, browser_safety         who may ask, and from where
    limits, patience                              how much is taken on, and waited for
    admin, health, problems                       for operators and their machines
"""
