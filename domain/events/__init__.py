"""The saga log: numbered events, 1, 2, 3, ... within each saga, and live views of them.

Events are written in the transaction of their change, numbered by the counter on the saga's row
while that row is locked: no gap, no repeat, in commit order. `log` appends and reads, `Feed`
follows, `Notifier` tells other replicas which logs have news.
"""

from domain.events.feed import BUFFER_EVENTS_MAX, Feed
from domain.events.log import READ_EVENTS_MAX, append, newest_sequences, oldest_sequence, prune, read, read_many
from domain.events.model import EventType, Failure, SagaEvent
from domain.events.notifier import Hint, Notifier
from domain.events.whole_feed import CHANGES_SAGAS_MAX

__all__ = [
    "BUFFER_EVENTS_MAX",
    "CHANGES_SAGAS_MAX",
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
