"""The saga engine. It knows no feature: a saga is data, and what its steps do is told to it by a definition.

A saga is a row (definition, version, status, position, context, due time, signals), its steps,
and a numbered event log, all changed in one transaction. It is resumed from data, never by
replaying code::

               start                    every step done
    (nothing) ───────▶ PENDING ─▶ RUNNING ─────────────────▶ COMPLETED
                          │         │  ▲│
                   signal │  refused│  ││ a step after the pivot keeps failing
                          ▼         ▼  │▼
                        COMPENSATING  STUCK        STUCK ─▶ back to where it was, by a slow
                          │      ▲─────┘│                   retry or an operator's word
                          │ a compensation keeps failing
                          ▼
                     COMPENSATED                   an operator's skip ends it ABANDONED

    any of these that is not over ◀─▶ PARKED: this release cannot read or run it; a retry looks again

**One turn is one transaction** (`executor`), for 1 to 256 sagas at once::

    fence ──▶ settle what was answered ──▶ begin what is due ──▶ write ──▶ commit ──▶ tell feeds
    lock the                    ▲              │ local: its effects, at once          │
    sagas that                  │              │ remote: prepare, STARTED, then       ▼
    are still ours              └── the answer ── call, outside any transaction ◀── calls leave

A step is `prepare(tx)`, `call`, `settle(tx)`, functions over all sagas that stand before it, a
few statements for all of them (`definition`). Consecutive local steps of a saga share a turn.

**Intent before effect.** STARTED, the attempt's number and the round of its idempotency key
are durable before a call leaves, and so is the fact that it may have had an effect (`effects`).
A local step's effects and its event commit together: exactly once.

**Unknown is not failed.** A lost answer is retried under the same key; when that is given up,
the step itself is undone first. The round rises only once everything sent under the key is
proven without effect. An answer belongs to one epoch, position and attempt, or is not believed.

**Who may write.** A process has a boot id and a lease in `replicas`. A saga names its owner and
an epoch, raised at every takeover from an owner whose lease has lapsed (`replicas`). The first
statement of every turn locks and returns the sagas that are still ours; only these go on, so a
process that was paused and wakes up writes nothing. Everyone else writes *signals* (`signals`):
cancel, expired, retry, skip. They change no step, and the owner obeys them under its lock.

**Replicas tell one another** which sagas have changed, by hints that may be lost: where to look,
never what is so. Whoever follows a saga, awaits one or runs it looks at once, and otherwise
within a second (`domain.events`).

**The pin.** A step that `pins` decides against cancel and expiry in the transaction of its
prepare: the saga's row is locked, its signals have been obeyed, its holds are claimed. What
comes after the pin is the provider's word alone. Turning round clears it, in one transaction.

**Nothing waits for a row.** Sagas, then seats, then accounts are locked, each in key order,
with SKIP LOCKED; who misses a row is looked at again soon, and that was no attempt.
Serialization failures run a turn again whole.

**One bad saga stops no other.** Rows are read one by one. A turn whose transaction fails is run
again in halves until the faulty saga stands alone, and that one's attempt has failed; each half
that has committed is followed up at once. A saga whose row cannot be read, whose definition has
other steps than it began with (`catalogue`), or whose fault cannot be recorded, is PARKED by a
transaction of its own: from then on no replica owns it, so none can fail of it, and only a
retry lets one claim it and look again, with its signals, its call and its holds as they were.

**Memory is a hint.** The runner's agenda says where to look; the database says what is so. What
memory forgets, the poll finds within a second, and the claim after a lease.

**Where it may break** is named in `CommitPoint`, and tests break it there. What runs where:
`starter` commits starts in groups, `runner` turns, `machine` is one saga's transitions, pure
and in memory, `store` has the statements, `counting` counts what ended, `reader`, `roster` and
`statistics` read. `tests/model` has this protocol as a small model, walked through every order of
its events, with and without each rule.
"""

from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.definition import (
    Again,
    Batch,
    Busy,
    Compensation,
    Local,
    Member,
    PrepareVerdict,
    Ready,
    Remote,
    RetryPolicy,
    SagaDefinition,
    SettleVerdict,
    Skipped,
    Step,
)
from domain.saga.engine import HintsHeard, SagaEngine
from domain.saga.executor import SagaEnd
from domain.saga.reader import (
    PAGE_SAGAS_MAX,
    InFlight,
    SagaQuery,
    Undone,
    by_correlation_ids,
    by_ids,
    count,
    in_flight_of,
    matches,
    page,
    parked_count,
    undone_of,
)
from domain.saga.replicas import end_leases
from domain.saga.roster import (
    LiveReplica,
    ReplicaView,
    UnclaimedSagas,
    list_replicas,
    list_unclaimed,
    live_replicas,
)
from domain.saga.runner import CallFinished, Committed, Runner, TurnCommitted
from domain.saga.signals import (
    CancelRequested,
    NothingToRetry,
    NothingToUndo,
    RetryRequested,
    SkipRequested,
    TooLateToCancel,
    expire,
    lock_unpinned,
    set_deadlines,
)
from domain.saga.simulation import Simulation
from domain.saga.starter import (
    CorrelationIdReused,
    KnownStart,
    Overloaded,
    SagaBegun,
    Started,
    StartRefused,
    StartRequest,
    StartsCommitted,
    StartsRefused,
    known_starts,
)
from domain.saga.states import SAGA_TRANSITIONS, STEP_TRANSITIONS, Direction, Phase, SagaStatus, StepStatus
from domain.saga.statistics import LiveSagas, QueueTotals, SagaBucket, SagaStatistics, buckets, live, statistics
from domain.saga.views import SagaView, StepQueue, StepView, UndoView

__all__ = [
    "PAGE_SAGAS_MAX",
    "SAGA_TRANSITIONS",
    "STEP_TRANSITIONS",
    "Again",
    "Batch",
    "Busy",
    "CallFinished",
    "CancelRequested",
    "CommitPoint",
    "CommitPoints",
    "Committed",
    "Compensation",
    "CorrelationIdReused",
    "Direction",
    "HintsHeard",
    "InFlight",
    "KnownStart",
    "LiveReplica",
    "LiveSagas",
    "Local",
    "Member",
    "NothingToRetry",
    "NothingToUndo",
    "Overloaded",
    "Phase",
    "PrepareVerdict",
    "QueueTotals",
    "Ready",
    "Remote",
    "ReplicaView",
    "RetryPolicy",
    "RetryRequested",
    "Runner",
    "SagaBegun",
    "SagaBucket",
    "SagaDefinition",
    "SagaEnd",
    "SagaEngine",
    "SagaQuery",
    "SagaStatistics",
    "SagaStatus",
    "SagaView",
    "SettleVerdict",
    "Simulation",
    "SkipRequested",
    "Skipped",
    "StartRefused",
    "StartRequest",
    "Started",
    "StartsCommitted",
    "StartsRefused",
    "Step",
    "StepQueue",
    "StepStatus",
    "StepView",
    "TooLateToCancel",
    "TurnCommitted",
    "UnclaimedSagas",
    "UndoView",
    "Undone",
    "buckets",
    "by_correlation_ids",
    "by_ids",
    "count",
    "end_leases",
    "expire",
    "in_flight_of",
    "known_starts",
    "list_replicas",
    "list_unclaimed",
    "live",
    "live_replicas",
    "lock_unpinned",
    "matches",
    "page",
    "parked_count",
    "set_deadlines",
    "statistics",
    "undone_of",
]
