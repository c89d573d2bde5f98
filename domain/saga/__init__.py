"""The saga engine. It knows no feature: a saga is data, and a definition gives its steps.

A saga is a row (definition, version, status, position, context, due time, signals), its steps and a
numbered event log. One transaction changes all of them. The engine resumes a saga from this data, never
by replaying code::

               start                    every step done
    (nothing) ───────▶ PENDING ─▶ RUNNING ─────────────────▶ COMPLETED
                          │         │  ▲│
                   signal │  refused│  ││ a step after the pivot keeps failing
                          ▼         ▼  │▼
                        COMPENSATING  STUCK        STUCK ─▶ back to where it was, by a slow
                          │      ▲─────┘│                   retry or an operator
                          │ a compensation keeps failing
                          ▼
                     COMPENSATED                   an operator's skip ends it ABANDONED

    RUNNING ─▶ WAITING, for the customer ─▶ RUNNING, by a word or a look
                                         ─▶ COMPENSATING, by its deadline or a signal
    any of these that is not over ◀─▶ PARKED: this release cannot read or run it; a retry looks again

**One turn is one transaction** (`executor`, `progress`), for 1 to 256 sagas at once::

    fence ──▶ settle what was answered ──▶ begin what is due ──▶ write ──▶ commit ──▶ tell feeds
    lock the                    ▲              │ local: its effects, at once          │
    sagas that                  │              │ remote: prepare, STARTED, then       ▼
    are still ours              └── the answer ── call, outside any transaction ◀── calls leave

A step has three functions: `prepare(tx)`, `call` and `settle(tx)` (`definition`). Each handles all
sagas that stand before the step, with a few statements for all of them. Consecutive local steps of
a saga share a turn. A start is its saga's first turn: its transaction has all that comes before the first call. If
that fails, the start only begins its saga, and a turn goes on.

**Intent before effect.** Before a call leaves, the engine commits STARTED, the number of the
attempt, the round of the idempotency key, and the fact that the call may have an effect (`effects`).
The effects of a local step and its event commit together: exactly once.

**Unknown is not failed.** If the answer is lost, the engine retries under the same key. If it gives
up, it undoes this step first. The round rises only after everything sent under the key is proven to
have no effect. An answer counts only for the epoch, the position and the attempt that it belongs to.

**Not sent is no attempt.** If a call did not leave (`NotSent`), the saga stands again as before it: the
attempt's number, the possible effect, the pin and the budget are given back (`Footing`). Only the
deadline ends such tries; what must succeed becomes STUCK once nothing has left for its budget.

**A gate may stand before a provider** (`domain.gate`, `places`). A call needs a place there before anything of
its attempt is written. Without one the saga stands in line: begin nothing, no event, no attempt, and the budget
stands still::

    due ─▶ enter ─▶ PERMIT ─▶ prepare, STARTED ── commit ──▶ call ──▶ settle ─▶ leave, with the outcome
             └───▶ LINE or SHUT ─▶ due again half a minute later ─▶ enter
                        └─ the gate has a place ─▶ a turn at once ─┘

Undoing goes first, then what pins, then all else. Signals and the deadline are obeyed in line. While the gate is
SHUT, its sagas take no place among those in flight, as those that wait or are STUCK. Who stands where is a hint: the
row is due soon, and after a crash or a takeover the saga enters again at once.

**The fence: only the owner writes.** Each process has a boot id and a lease in `replicas`. A saga's
row names its owner and an epoch. A takeover from an owner whose lease has lapsed raises the epoch
(`replicas`). The first statement of every turn locks the sagas of the turn and returns those that
this process still owns. Only these continue, so a process that was paused and wakes up writes
nothing. All others write *signals* (`signals`): cancel, expired, retry, skip, a word. A signal changes
no step; the owner obeys it under its lock.

**Replicas exchange hints.** A hint says which saga has changed, never how, and it may be lost. A
subscriber, a waiting query and the owner look at the saga at once after a hint, and otherwise within
a second (`domain.events`).

**A wait is data.** A step may answer that it waits, for what and until when (`Waiting`). Its saga is
WAITING: a row with a due time, and no task, timer, attempt or place in flight; the poll finds it when it
is due. Four things end the wait::

    word      say() ─▶ judged under the row's lock, by a clock read after it: it waits for exactly this, the
                       deadline has not passed, no other word stands ─▶ word and STEP_RESUMED commit
                       ─▶ the owner's turn: prepare gets the word, which is cleared ─▶ an attempt begins
    look      the step's own due time ─▶ prepare, call, settle, without event, attempt or budget
              ─▶ the answer ends the wait, or nothing has changed, and the next look is set
    deadline  its due time ─▶ the saga turns round         cancel, expired  signals ─▶ it turns round

A word is a signal with content. It counts once: the transaction that begins the attempt clears it, so a
word outlives its owner, and a turn that fails keeps it. A fingerprint tells the same word, said again,
from another until it waits for the same again. While a signal stands that ends the wait, readers see
the saga RUNNING. If a look is out, signals are obeyed after its answer. After a wait, attempts and
budget are counted anew, and the round rises if the try before is proven without effect (`round_spent`).
A wait that begins ahead of the clock, as that was set back, begins again with its length, like a hold.
A compensation, or a step after the pivot, waits for the provider: its saga's status stays, and at the
deadline it becomes STUCK.

The columns of the wait are written by a statement of their own, so that turns without waits pay nothing.
No replica keeps in memory which of its sagas wait: a hint of a signal makes all replicas look. A
takeover takes waiting sagas last and in bulk, and looks only at those with a signal or a call that is out.

**The pin.** A step that `pins` decides against cancel and expiry in the transaction of its prepare:
the saga's row is locked, its signals have been obeyed, what it needs is claimed. After the pin only the
provider's answer decides. Turning round clears the pin, in one transaction.

**No turn waits for a row.** A turn locks sagas, then rows of the features, each in key order, with
SKIP LOCKED. If another transaction has a saga's row, the turn leaves that saga for the next turn;
this is not an attempt. After a serialization failure the whole turn runs again.

**One bad saga stops no other.** The engine reads rows one by one. If the transaction of a turn
fails, the turn runs again in halves, until the faulty saga stands alone; then this saga's attempt
has failed. Each half that commits is followed up at once. A saga is PARKED, by a transaction of its
own, if its row cannot be read, if its definition has other steps than it began with (`catalogue`),
or if its fault cannot be recorded. No replica owns a parked saga, so no replica can fail because of
it. A retry lets one replica claim it and look again; its signals, its call and its deadline are kept.

**Memory is a hint.** The runner's agenda says where to look; the database says what is true. The
poll finds sagas that memory has lost within a second; the claim finds them after a lease. If the answer to a start's
COMMIT is lost, its sagas may exist, with calls that have not left: the runner looks for them until it sees them.

**Faults are tested where they can happen.** `CommitPoint` names these places, and tests stop the
process at each. `starter` commits starts in groups, `runner` drives turns, `executor` has their transactions,
`turn` what one turn knows, `progress` how far each of its sagas gets; `machine` holds one saga's transitions in
memory, `store` has the statements, `counting` counts ended sagas; `reader`,
`roster` and `statistics` read. `tests/model` has the protocol as a small model, and checks every
order of its events, with and without each rule.
"""

from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.counting import PERIODS_SECONDS, recount
from domain.saga.definition import (
    Again,
    Batch,
    Compensation,
    Local,
    Member,
    PrepareVerdict,
    Ready,
    Remote,
    RetryPolicy,
    SagaDefinition,
    SettleVerdict,
    Simulation,
    Skipped,
    Step,
    Wait,
    Waiting,
)
from domain.saga.engine import HintsHeard, SagaEngine, WordJudged
from domain.saga.reader import (
    PAGE_SAGAS_MAX,
    InFlight,
    SagaOrder,
    SagaQuery,
    Undone,
    by_beginning,
    by_correlation_ids,
    by_ids,
    count,
    in_flight_of,
    labelled,
    matching,
    matching_ids,
    page,
    page_longest_stuck,
    page_oldest,
    parked_count,
    statuses_by,
    stuck_key,
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
    WORD_CHARACTERS_MAX,
    CancelAnswer,
    CancelRequested,
    NotAwaited,
    NothingToSettle,
    NothingToUndo,
    NotWaiting,
    PivotDecided,
    RetryAnswer,
    RetryRequested,
    Settled,
    SkipAnswer,
    SkipRequested,
    WaitIsOver,
    WordAnswer,
    WordSaid,
    WordStands,
    expire,
    lock_free,
    lock_unpinned,
    request_cancels,
    request_retries,
    request_skips,
    set_deadlines,
)
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
from domain.saga.states import (
    SAGA_TRANSITIONS,
    STEP_TRANSITIONS,
    Direction,
    Phase,
    SagaStatus,
    StepStatus,
    WaitEnd,
)
from domain.saga.statistics import LiveSagas, QueueTotals, SagaBucket, SagaStatistics, buckets, live, statistics
from domain.saga.views import Awaiting, SagaView, StepQueue, StepView, UndoView
from domain.saga.work import SagaEnd, WaitEnded

__all__ = [
    "PAGE_SAGAS_MAX",
    "PERIODS_SECONDS",
    "SAGA_TRANSITIONS",
    "STEP_TRANSITIONS",
    "WORD_CHARACTERS_MAX",
    "Again",
    "Awaiting",
    "Batch",
    "CallFinished",
    "CancelAnswer",
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
    "NotAwaited",
    "NotWaiting",
    "NothingToSettle",
    "NothingToUndo",
    "Overloaded",
    "Phase",
    "PivotDecided",
    "PrepareVerdict",
    "QueueTotals",
    "Ready",
    "Remote",
    "ReplicaView",
    "RetryAnswer",
    "RetryPolicy",
    "RetryRequested",
    "Runner",
    "SagaBegun",
    "SagaBucket",
    "SagaDefinition",
    "SagaEnd",
    "SagaEngine",
    "SagaOrder",
    "SagaQuery",
    "SagaStatistics",
    "SagaStatus",
    "SagaView",
    "SettleVerdict",
    "Settled",
    "Simulation",
    "SkipAnswer",
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
    "TurnCommitted",
    "UnclaimedSagas",
    "UndoView",
    "Undone",
    "Wait",
    "WaitEnd",
    "WaitEnded",
    "WaitIsOver",
    "Waiting",
    "WordAnswer",
    "WordJudged",
    "WordSaid",
    "WordStands",
    "buckets",
    "by_beginning",
    "by_correlation_ids",
    "by_ids",
    "count",
    "end_leases",
    "expire",
    "in_flight_of",
    "known_starts",
    "labelled",
    "list_replicas",
    "list_unclaimed",
    "live",
    "live_replicas",
    "lock_free",
    "lock_unpinned",
    "matching",
    "matching_ids",
    "page",
    "page_longest_stuck",
    "page_oldest",
    "parked_count",
    "recount",
    "request_cancels",
    "request_retries",
    "request_skips",
    "set_deadlines",
    "statistics",
    "statuses_by",
    "stuck_key",
    "undone_of",
]
