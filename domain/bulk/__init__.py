"""Bulk actions: an operator retries, skips, cancels or unparks all sagas that match a filter, at a set pace.

::

    start ─▶ read the sagas that match ─▶ one transaction: the action (RUNNING), its sagas (PENDING), BULK_START
                  │
    any replica ──┴─▶ a turn is due ─▶ lock the action, SKIP LOCKED ─▶ its next sagas, in ID order
                            ▲             │ signal each one, as retrySaga, skipStep and cancelSaga do
                            │             ▼
                        next_at      mark them DONE or PASSED_OVER, raise next_at ── COMMIT ──▶ wake their owners
                            └──────────────┘
                                          no saga is PENDING ─▶ DONE;  stop ─▶ STOPPED

**Nothing is lost or done twice.** The sagas are chosen once, at the start. A turn is one transaction, so after a kill
either all of it or none of it has happened. No replica owns an action: the lock on its row lasts as long as the turn,
and the next turn may be another replica's. There is no lease and no takeover.

**The pace** is kept by `next_at`, in the database's time. A turn handles the sagas of a quarter of a second; the next
one is due that much later. Turns that were missed are not made up for, so an outage, a restart or a slow turn causes
no burst.

**Customers go first.** Retried and cancelled sagas call the provider, and undoing goes first in its line. If sagas
stand in line there, a turn signals one saga, and the next turn comes a second later. While none does, each turn may
signal twice as many as the last one, up to the pace. So a bulk action takes what the provider has left, and the line
stays short.

**A turn never waits for a saga.** If another transaction has a saga's row, the saga stays PENDING, and later ones
take its place in the turn. A saga must still match the filter when its turn comes, under its lock. If
the signal of a saga fails, the saga is passed over alone. A PARKED saga whose definition this replica does not know
stays PENDING while a replica of another release is alive, and is passed over once none is.

A signal only asks the saga's owner. How the sagas ended is read from them: `statuses_of`.
"""

from domain.bulk.model import (
    BULK_SAGAS_MAX,
    SAGAS_PER_SECOND_DEFAULT,
    SAGAS_PER_SECOND_MAX,
    BulkAction,
    BulkActionEnded,
    BulkActionKind,
    BulkActionStarted,
    BulkActionStatus,
    BulkMatched,
    BulkRefused,
    BulkRequest,
    BulkTurnTaken,
    TargetState,
    UnknownBulkAction,
)
from domain.bulk.records import (
    PassedOver,
    actions_by_ids,
    actions_count,
    actions_page,
    passed_over_of,
    statuses_of,
)
from domain.bulk.service import BulkActions

__all__ = [
    "BULK_SAGAS_MAX",
    "SAGAS_PER_SECOND_DEFAULT",
    "SAGAS_PER_SECOND_MAX",
    "BulkAction",
    "BulkActionEnded",
    "BulkActionKind",
    "BulkActionStarted",
    "BulkActionStatus",
    "BulkActions",
    "BulkMatched",
    "BulkRefused",
    "BulkRequest",
    "BulkTurnTaken",
    "PassedOver",
    "TargetState",
    "UnknownBulkAction",
    "actions_by_ids",
    "actions_count",
    "actions_page",
    "passed_over_of",
    "statuses_of",
]
