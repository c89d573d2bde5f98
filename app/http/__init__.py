"""HTTP and WebSocket: GraphQL over both, who is asking, health, and one id a request.

`graphql` is the door; `negotiation`, `operations` and `answers` are GraphQL over HTTP,
`streams` are subscriptions over it, `socket` is graphql-transport-ws; `admin` is the scheduler's.
"""
