"""HTTP and WebSocket: GraphQL over both, authentication, rate limits, health, and request ids.

::

    base_path        serves everything beneath SEATSAGA_BASE_PATH
    graphql          the endpoint, /graphql; `service` starts operations for every transport
    negotiation, operations, answers              GraphQL over HTTP
    deadlines        the time in which a request expects its answer
    streams                                       subscriptions over it
    socket, socket_channel, socket_operation      graphql-transport-ws: the session, its frames, its operations
    subscribers      counts and limits subscriptions
    connections, socket_connection                backpressure and limits of one connection
    room, patience   limits and timeouts for clients that have not yet sent a request or authenticated
    auth, jwks, browser_safety                    authentication, and protection of browsers
    forwarding       the client's address, the scheme and the host, when a trusted proxy reports them
    rates, places    limits per caller, and on everything served at once; `busy` is the refusal
    admin, health                                 for operators and monitoring
"""
