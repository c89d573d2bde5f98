"""A payment provider for development and tests, with books of its own apart from ours.

It behaves as a real one does where it matters: it commits before it answers, honours
idempotency keys (and repeats the 500 that it stored under one), takes our reference, refuses
what arrives for a voided one, and knows the well-known test tokens. It can be told to fail.
"""

from sandbox.books import Books, Entry, PostgresBooks, SqliteBooks, books_beside
from sandbox.books_copy import books_copies, books_url
from sandbox.faults import Fault, FaultKind, Faults
from sandbox.gateway import SandboxGateway

__all__ = [
    "Books",
    "Entry",
    "Fault",
    "FaultKind",
    "Faults",
    "PostgresBooks",
    "SandboxGateway",
    "SqliteBooks",
    "books_beside",
    "books_copies",
    "books_url",
]
