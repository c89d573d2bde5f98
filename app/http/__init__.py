"""HTTP and WebSocket: GraphQL over both, who is asking, health, and one id a request.

`graphql` is the door; `negotiation`, `operations` and `answers` are GraphQL over HTTP,
`socket` is graphql-transport-ws.
"""
