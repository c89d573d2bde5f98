"""A payment provider for development and tests, with its own books, separate from our records.

It behaves like a real provider in these points: it commits before it answers, honours idempotency keys
(and repeats the 500 that it stored under one), accepts our reference, refuses requests that arrive for a
voided one, asks the holders of some cards, takes its time to refund others (pm_card_pendingRefund), for some first in
vain (pm_card_refundFail), and knows the well-known test tokens. Faults can be injected.
"""

from sandbox.books import Books, Entry, PostgresBooks, SqliteBooks, books_beside
from sandbox.books_copy import books_copies, books_url
from sandbox.faults import Fault, FaultKind, Faults
from sandbox.gateway import HOLDER_PATH, Asked, SandboxGateway

__all__ = [
    "HOLDER_PATH",
    "Asked",
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
