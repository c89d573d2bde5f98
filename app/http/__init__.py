"""HTTP and WebSocket: GraphQL over both, who is asking, how much of it, health, and one id a request.

::

    graphql          the door, /graphql; `service` begins operations for it, whichever way they come
    negotiation, operations, answers              GraphQL over HTTP
    streams                                       subscriptions over it
    socket, socket_channel, socket_operation      graphql-transport-ws: the session, its frames, an operation of it
    subscribers      who follows something; connections, socket_connection: whether they keep up, and what they send
    room, patience   what those share, and how long they are waited for, who have not said what they want
    auth, jwks, browser_safety                    who may ask, and from where
    forwarding                                    from where, where a proxy says so
    rates, places                                 how much one caller may ask for, and how much is served at once
    admin, health                                 for operators and their machines
"""
