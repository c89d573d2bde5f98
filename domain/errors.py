"""The faults of the domain. A refusal is a value and not one of these.

::

    SeatsagaError
    ├── ConfigurationError      the process cannot start with its settings
    │   └── DefinitionError     a saga definition is not valid
    ├── StorageError            the database did not do what was asked
    │   ├── CommitUnknownError  the transaction may or may not have taken effect
    │   ├── DamagedError        the database's file is damaged
    │   ├── FileGoneError       the database's file was moved, removed or replaced
    │   ├── LoadLostError       loaded flights are missing; no flight of the load is shown
    │   └── SchemaError         the database's schema is not the one this code needs
    ├── PassedOverError         a sweep did all rows except those that failed
    └── FeedError               a live view ended early; the reader may resume
        ├── SlowConsumerError
        ├── CursorAheadError
        ├── HistoryPrunedError
        ├── UnreadableEventError
        └── UnknownSagaError
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = [
    "CommitUnknownError",
    "ConfigurationError",
    "CursorAheadError",
    "DamagedError",
    "DefinitionError",
    "FeedError",
    "FileGoneError",
    "HistoryPrunedError",
    "LoadLostError",
    "PassedOverError",
    "SchemaError",
    "SeatsagaError",
    "SlowConsumerError",
    "StorageError",
    "UnknownSagaError",
    "UnreadableEventError",
]


class SeatsagaError(Exception):
    """Base of every fault that seatsaga raises on purpose."""


class ConfigurationError(SeatsagaError):
    """The process cannot start with its settings; the message names the setting and the remedy."""


class DefinitionError(ConfigurationError):
    """A saga definition is not valid; the message names the definition, the fault and the remedy."""


class StorageError(SeatsagaError):
    """The database did not do what was asked."""


class CommitUnknownError(StorageError):
    """The answer to a COMMIT was lost: the COMMIT may or may not have taken effect, so it is never sent again."""


class DamagedError(StorageError):
    """The database's file is damaged; the message says what was found and what to do."""


class LoadLostError(StorageError):
    """Flights that were loaded are missing now; no flight of the load is shown, and the load must be repeated."""


class FileGoneError(StorageError):
    """The database's file was moved, removed or replaced. Open connections still work until the process ends."""


class SchemaError(StorageError):
    """The database's schema is not the one this code needs; the message says what to run."""


class PassedOverError(SeatsagaError):
    """A sweep did all rows except those in `faults`; each has the reason why it failed alone.

    `done` counts the finished rows; they are durable. The message names at most ten failed rows.
    """

    NAMED_MAX: Final = 10

    def __init__(self, kind: str, done: int, faults: Mapping[str, str]) -> None:
        named = [f"{kind} {id_}: {reason}" for id_, reason in list(faults.items())[: self.NAMED_MAX]]
        more = f"; and {len(faults) - len(named)} more" if len(faults) > len(named) else ""
        super().__init__(
            f"Passed over {len(faults)}, as each fails alone; the others are done. {'; '.join(named)}{more}"
        )
        self.done = done
        self.faults = faults


class FeedError(SeatsagaError):
    """A live view ended before its saga did; the attributes say how to resume."""


class SlowConsumerError(FeedError):
    """The reader is too slow and its bounded buffer is full; resume after `sequence` if the reader follows one saga."""

    def __init__(self, sequence: int | None) -> None:
        again = "subscribe again" if sequence is None else f"resume with after: {sequence}"
        super().__init__(f"The reader fell too far behind; {again}.")
        self.sequence = sequence


class CursorAheadError(FeedError):
    """The reader asks for events after an event that has not happened."""

    def __init__(self, after: int, newest: int) -> None:
        super().__init__(f"after: {after} is beyond the newest event, {newest}.")
        self.after = after
        self.newest = newest


class HistoryPrunedError(FeedError):
    """The reader asks for events that are no longer kept."""

    def __init__(self, after: int, oldest: int) -> None:
        super().__init__(f"Events up to {oldest - 1} are no longer kept; start with after: {oldest - 1}.")
        self.after = after
        self.oldest = oldest


class UnreadableEventError(FeedError):
    """The next event of the saga has a type that this release does not know; the feed ends, as it skips no event."""

    def __init__(self, saga_id: str, sequence: int) -> None:
        super().__init__(f"This release cannot read event {sequence} of the saga; resume with after: {sequence - 1}.")
        self.saga_id = saga_id
        self.sequence = sequence


class UnknownSagaError(FeedError):
    """No saga with this correlation ID appeared while the reader waited."""

    def __init__(self, correlation_id: str) -> None:
        super().__init__(f"No saga with correlation ID {correlation_id} was found.")
        self.correlation_id = correlation_id
