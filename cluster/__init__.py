"""A cluster on one machine, to play with and to break. For development only; what is shipped knows nothing of it.

::

    clients ──▶ Proxy ─┬─▶ Replica ──▶ (Proxy that a test cuts) ──▶ PostgresServer
                       ├─▶ Replica ──▶            ...                 │ synchronous
                       └─▶ Replica ──▶                              PostgresServer

`make cluster` runs all of it until Ctrl-C. `tests/cluster` breaks it, part by part.
"""
