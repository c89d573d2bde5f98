"""A cluster on one machine, to try out and to break. For development only; the shipped packages do not use it.

::

    clients ──▶ Proxy ─┬─▶ Replica ──▶ (Proxy that a test cuts) ──▶ PostgresServer
                       ├─▶ Replica ──▶            ...                 │ synchronous
                       └─▶ Replica ──▶                              PostgresServer

`make cluster` runs all of it until Ctrl-C. `tests/cluster` breaks it, part by part.
"""
