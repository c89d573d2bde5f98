"""The faults of the domain. A refusal is a value, not one of these.

::

    SeatsagaError
    ├── ConfigurationError      the process cannot start as it is set up
    │   └── DefinitionError     a saga definition cannot be run as it is written
    ├── StorageError            the database did not do what was asked
    │   ├── CommitUnknownError  whether the transaction took effect is not known
    │   ├── DamagedError        the database's file is not whole
    │   ├── FileGoneError       the database's file was moved, removed or replaced
    │   ├── LoadLostError       flights that were loaded are not there; nothing is shown of them
    │   └── SchemaError         the database's schema is not the one this code needs
    ├── PassedOverError         a sweep did all but the rows that cannot be done
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
    """The process cannot start as it is set up; the message names the setting and the remedy."""


class DefinitionError(ConfigurationError):
    """A saga definition cannot be run as it is written; the message names it, the fault and the remedy."""


class StorageError(SeatsagaError):
    """The database did not do what was asked."""


class CommitUnknownError(StorageError):
    """The answer to a COMMIT was lost: it may or may not have taken effect, so it is never sent again."""


class DamagedError(StorageError):
    """The database's file is not whole; the message says what was found, and what to do."""


class LoadLostError(StorageError):
    """Flights that were loaded are not there any more; nothing of the load is shown, and it is to be done again."""


class FileGoneError(StorageError):
    """The database's file was moved, removed or replaced: what is open goes on, and is lost with the process."""


class SchemaError(StorageError):
    """The database's schema is not the one this code needs; the message says what to run."""


class PassedOverError(SeatsagaError):
    """A sweep did everything but the rows in `faults`, each with the reason why it failed alone.

    `done` counts what was done, and is durable. The message names at most ten rows.
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
    """A live view ended before its saga did; the attributes say how to go on."""


class SlowConsumerError(FeedError):
    """The reader did not keep up and its bounded buffer is full; resume after `sequence`, where it reads by one."""

    def __init__(self, sequence: int | None) -> None:
        again = "subscribe again" if sequence is None else f"resume with after: {sequence}"
        super().__init__(f"The reader fell too far behind; {again}.")
        self.sequence = sequence


class CursorAheadError(FeedError):
    """The reader asks for events after one that has not happened."""

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
    """The next event of the saga is of a type that this release does not know: it is never passed over in silence."""

    def __init__(self, saga_id: str, sequence: int) -> None:
        super().__init__(f"This release cannot read event {sequence} of the saga; resume with after: {sequence - 1}.")
        self.saga_id = saga_id
        self.sequence = sequence


class UnknownSagaError(FeedError):
    """No saga with this correlation ID appeared in the time that a reader waits for one."""

    def __init__(self, correlation_id: str) -> None:
        super().__init__(f"No saga with correlation ID {correlation_id} was found.")
        self.correlation_id = correlation_id
