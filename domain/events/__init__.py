"""The saga log: what happened, numbered 1, 2, 3, ... within each saga, and live views of it.

Events are written in the transaction of the change they tell of, numbered by the counter on
the saga's row while that row is locked: no gap, no repeat, in commit order. `log` appends and
reads, `Feed` follows, `Notifier` tells other replicas where there is something to read.
"""

from domain.events.feed import BUFFER_EVENTS_MAX, Feed
from domain.events.log import READ_EVENTS_MAX, append, newest_sequences, oldest_sequence, prune, read, read_many
from domain.events.model import EventType, Failure, SagaEvent
from domain.events.notifier import Hint, Notifier

__all__ = [
    "BUFFER_EVENTS_MAX",
    "READ_EVENTS_MAX",
    "EventType",
    "Failure",
    "Feed",
    "Hint",
    "Notifier",
    "SagaEvent",
    "append",
    "newest_sequences",
    "oldest_sequence",
    "prune",
    "read",
    "read_many",
]
