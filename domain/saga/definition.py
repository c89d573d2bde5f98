"""The parts of a saga: definitions, steps, and the inputs and answers of a step's functions.

A step has an action and, if it must be undone, a compensation; both have the same shape.
`Local` has only `settle`: its effects are rows in our own database, and commit together with
their event. `Remote` may `prepare` (commit the facts that must be durable before the call), calls
its gateway outside any transaction, and settles the outcome.

`prepare` and `settle` handle a batch of 1 to 256 sagas that stand before the same step, with a few
statements for all of them. They answer one verdict a member, in order. Their rules:

- They must not commit.
- They must await only the connection: on SQLite the whole transaction runs on the connection's thread, and any other
  await fails.
- They must keep no state outside the transaction: if it fails, the batch runs again, or in halves.
- They change `member.context` only by assigning to its fields.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Generic, Self, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import DefinitionError
from domain.gate import Gate
from domain.outcome import Answer, Busy, Outcome, Refused, Succeeded
from domain.saga.states import Direction

__all__ = [
    "Again",
    "Batch",
    "Begin",
    "Compensation",
    "Local",
    "Member",
    "Operation",
    "PrepareVerdict",
    "Ready",
    "Remote",
    "RetryPolicy",
    "SagaDefinition",
    "SettleVerdict",
    "Simulation",
    "Skipped",
    "Step",
    "Wait",
    "Waiting",
]

C = TypeVar("C", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Ready:
    """Answer of a `prepare`: its rows are written; the call may leave after the commit."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The step is not needed for this saga, and has no effect to undo."""

    summary: str


@dataclass(frozen=True, slots=True)
class Again:
    """Answer of a `settle`: a result is now durable, and the step calls once more within the same attempt."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Answer of a `prepare` or a `settle` whose step `can_wait`: wait until `until` (microseconds) for `wants`.

    `wants` names what is waited for: PAYMENT. `look_at`: when to look by itself, if not only a word can end the wait.
    `failure`: why the last try failed; readers see it while the step waits. `round_spent`: the try before is proven
    without effect, for every request under its key, so the next try has a new round. `keeps_effect`: others may still
    make it take effect, so the step is undone nevertheless if the saga turns round. If the answer of a look is Waiting
    for the same, the wait goes on as it was, and only the next look is set.
    """

    until: int
    wants: str
    look_at: int | None = None
    failure: Refused | None = None
    summary: str | None = None
    round_spent: bool = False
    keeps_effect: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait for `wants`, from `since` to `until` (microseconds)."""

    wants: str
    since: int
    until: int


PrepareVerdict = Ready | Succeeded | Refused | Skipped | Busy | Waiting
"""`Succeeded` goes straight to settle with that outcome: no call is needed."""
SettleVerdict = Answer | Skipped | Busy | Again | Waiting


@dataclass(slots=True)
class Member(Generic[C]):
    """One saga of a batch, as it stands before the step.

    `attempt` is 1-based. `round` rises durably once the round before is proven without effect.
    `outcome` is the result of the call in `settle` of a remote operation, else None. `pinned`: an
    earlier attempt of this step has already decided against cancel and expiry. `wait` is the wait that this attempt
    ends or that this look interrupts. `word` is the word that ended it, as JSON text: only the attempt's `prepare` (of
    a local operation: `settle`) gets it, and only once. `deadline_at`: when all later steps must have begun
    (microseconds); None if nothing has set it.
    """

    saga_id: str
    correlation_id: str
    context: C
    attempt: int
    round: int
    operation: str
    outcome: Answer | None = None
    pinned: bool = False
    wait: Wait | None = None
    word: str | None = None
    deadline_at: int | None = None

    @property
    def is_look(self) -> bool:
        """Whether the step only looks whether its wait is over: it must have no effect outside."""
        return self.wait is not None and self.word is None

    def key(self, operation: str) -> str:
        """The idempotency key of a provider's `operation`: `correlation-id:step:operation:round`."""
        return f"{self.correlation_id}:{self.operation}:{operation}:{self.round}"


@dataclass(slots=True)
class Batch(Generic[C]):
    """The sagas that stand before one step, in arrival order, and the transaction they share.

    `at` was read after the sagas were locked: microseconds since the epoch. A step that locks
    rows of its own and compares them with the time must read `clock` again afterwards. A step may
    set `deadlines`, keyed by saga ID: all later steps must have begun by then.
    """

    connection: AsyncConnection
    clock: Clock
    at: int
    members: Sequence[Member[C]]
    deadlines: dict[str, int] = field(default_factory=dict)

    @property
    def saga_ids(self) -> list[str]:
        """The members' saga ids, in order."""
        return [member.saga_id for member in self.members]


Prepare = Callable[[Batch[Any]], Awaitable[Sequence[PrepareVerdict]]]
Call = Callable[[Member[Any]], Awaitable[Outcome]]
Settle = Callable[[Batch[Any]], Awaitable[Sequence[SettleVerdict]]]


@dataclass(frozen=True, slots=True)
class Local:
    """An operation on our own rows: exactly once, as its effects and its event commit together."""

    settle: Settle


@dataclass(frozen=True, slots=True)
class Remote:
    """An operation at another system: sent at least once under one key, so it takes effect once.

    `gate`: the guard of that system; each call needs a place there before anything of its attempt is written.
    `needs_call`: whether this saga's operation will call at all; those that will not need no place.
    """

    call: Call
    prepare: Prepare | None = None
    settle: Settle | None = None
    gate: Gate | None = None
    needs_call: Callable[[Member[Any]], bool] | None = None


Operation = Local | Remote


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how soon an operation is tried again.

    A failure that may pass is tried again until `budget_seconds` have passed since the first attempt. The waits are
    random, between `floor_seconds` and a bound that doubles up to `cap_seconds`. Then a step is given up. A
    compensation, or a step after the pivot, is never given up: its saga becomes STUCK, and is tried after
    `stuck_seconds`, then twice as long, up to `stuck_seconds_max`. A failure that will not pass by itself (refused for
    good, or a fault of ours) has `refusals_max` attempts; but a step that was refused for good has one, and so has what
    was refused together with its key. One call may take `attempt_timeout_seconds`.
    """

    refusals_max: int = 5
    floor_seconds: float = 0.2
    cap_seconds: float = 30.0
    attempt_timeout_seconds: float = 10.0
    budget_seconds: float = 60.0
    stuck_seconds: float = 60.0
    stuck_seconds_max: float = 900.0

    def backoff_seconds(self, attempt: int) -> float:
        """The longest wait after `attempt` failed."""
        return min(self.cap_seconds, self.floor_seconds * 2.0 ** min(max(attempt, 1), 30))

    def jittered_seconds(self, most_seconds: float, draw: float) -> float:
        """A wait between the floor and `most_seconds` (at most the cap); `draw` is a random number from 0 to 1.

        The whole range is used, so that sagas that failed together do not come back together.
        """
        most = min(max(most_seconds, 2 * self.floor_seconds), self.cap_seconds)
        return self.floor_seconds + draw * max(0.0, most - self.floor_seconds)


STEP_POLICY: Final = RetryPolicy()
#: Also of steps after the pivot: four hours, as a provider may be away for some.
COMPENSATION_POLICY: Final = RetryPolicy(budget_seconds=14_400.0)


@dataclass(frozen=True, slots=True)
class Compensation:
    """The semantic undo of a step. Undoing what is already undone, or never happened, succeeds.

    `can_wait`: it may wait for the provider's final answer.
    """

    name: str
    operation: Operation
    policy: RetryPolicy = COMPENSATION_POLICY
    can_wait: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its action and its compensation.

    `policy`: if it is not given, a step after the pivot has that of a compensation. `pins`: its prepare decides against
    cancel and expiry. `can_wait`: it may wait for the customer, or after the pivot for the provider's final answer.
    """

    name: str
    action: Operation
    compensation: Compensation | None = None
    policy: RetryPolicy = STEP_POLICY
    pins: bool = False
    can_wait: bool = False

    @property
    def is_remote(self) -> bool:
        """Whether the step calls another system, whose answer can be lost."""
        return isinstance(self.action, Remote)


_EXPIRED: Final = Refused("EXPIRED", "The saga took too long.")

Begin = Callable[[Batch[Any]], Awaitable[Sequence[Refused | None]]]


@dataclass(frozen=True)
class SagaDefinition:
    """An ordered list of steps under a name and a version.

    `context` is the msgspec struct that the steps share, stored as JSON. `pivot` names the step
    after whose completion nothing is undone: later steps go forward until they succeed.
    `begin` runs in the transaction that starts a batch of sagas and writes the features' own rows
    for them; a member that it refuses is not started. Definitions with the same `begin` also share
    a batch. `forget` runs once a saga turns round or ends: it removes data from the context that
    only the way forward needs and that should not be kept. `expired` is the failure of a saga whose
    deadline has passed.
    """

    name: str
    version: int
    context: type[msgspec.Struct]
    steps: tuple[Step, ...]
    pivot: str
    begin: Begin | None = None
    forget: Callable[[Any], None] | None = None
    expired: Refused = _EXPIRED

    def __post_init__(self) -> None:
        """Raises DefinitionError; it names the definition, the fault and the remedy."""
        fault = _fault_of(self)
        if fault is not None:
            raise DefinitionError(f"Saga definition {self.name} version {self.version}: {fault}")

    def without(self, step: str, *, version: int) -> Self:
        """The version before `step` was added."""
        return replace(self, version=version, steps=tuple(each for each in self.steps if each.name != step))

    @cached_property
    def outline(self) -> str:
        """All properties that a started saga relies on, in words: `RESERVE undone by RELEASE, ...`."""
        return ", ".join(_outline_of(step, is_pivot=step.name == self.pivot) for step in self.steps)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the outline. A saga keeps the fingerprint that it began with."""
        return hashlib.sha256(self.outline.encode()).hexdigest()[:16]

    @cached_property
    def pivot_index(self) -> int:
        """The index of the pivot in `steps`."""
        return next(index for index, step in enumerate(self.steps) if step.name == self.pivot)

    @cached_property
    def undoable(self) -> int:
        """Bit i is set where step i has a compensation."""
        return sum(1 << index for index, step in enumerate(self.steps) if step.compensation is not None)

    @property
    def remote(self) -> dict[str, Remote]:
        """The operations that call another system, by the name of their step or compensation."""
        operations = {step.name: step.action for step in self.steps}
        operations |= {step.compensation.name: step.compensation.operation for step in self.steps if step.compensation}
        return {name: each for name, each in operations.items() if isinstance(each, Remote)}

    @property
    def gates(self) -> list[Gate]:
        """The gates that calls of this saga pass, each once."""
        found = {id(each.gate): each.gate for each in self.remote.values() if each.gate is not None}
        return list(found.values())

    def operation(self, position: int, direction: Direction) -> tuple[str, Operation, RetryPolicy]:
        """Name, operation and policy at `position` in `direction`."""
        if direction is Direction.FORWARD:
            return self._actions[position]
        step = self.steps[position]
        if step.compensation is None:
            raise LookupError(f"{self.name}.{step.name} has no compensation")
        return step.compensation.name, step.compensation.operation, step.compensation.policy

    @cached_property
    def _actions(self) -> list[tuple[str, Operation, RetryPolicy]]:
        def policy(position: int, step: Step) -> RetryPolicy:
            is_patient = position > self.pivot_index and step.policy is STEP_POLICY
            return COMPENSATION_POLICY if is_patient else step.policy

        return [(step.name, step.action, policy(position, step)) for position, step in enumerate(self.steps)]

    def can_wait(self, position: int, direction: Direction) -> bool:
        """Whether the operation at `position` in `direction` may answer Waiting."""
        step = self.steps[position]
        if direction is Direction.FORWARD:
            return step.can_wait
        return step.compensation is not None and step.compensation.can_wait


class Simulation(msgspec.Struct, omit_defaults=True, frozen=True):
    """The injected faults and delays, by name, so that they can hit every step.

    `fail_at`: each named step fails for good when it is reached, also one that would wait. `fail_compensation_at`: each
    named compensation keeps failing until an operator retries or skips it. `lose_answer_at`:
    each named step's first successful call loses its answer. `delay_ms`: each step and compensation pauses once it has
    begun, before its work; a wait is no pause. `pausing`: the present one does so now. This is kept here, as a release
    without pauses leaves it out of account: it begins the next attempt when the saga is due.
    """

    fail_at: tuple[str, ...] = ()
    fail_compensation_at: tuple[str, ...] = ()
    lose_answer_at: tuple[str, ...] = ()
    delay_ms: int = 0
    pausing: bool = False

    def lifted(self, name: str) -> Simulation:
        """The same simulation, but `name` does not fail any more."""
        return msgspec.structs.replace(
            self,
            fail_at=tuple(step for step in self.fail_at if step != name),
            fail_compensation_at=tuple(step for step in self.fail_compensation_at if step != name),
        )


#: Each step has a bit in `sagas.effects`, a signed integer of 32 bits.
STEPS_MAX: Final = 31


def _fault_of(definition: SagaDefinition) -> str | None:
    """The fault of a definition and its remedy; None if it is valid."""
    names = [step.name for step in definition.steps]
    undos = [step.compensation.name for step in definition.steps if step.compensation is not None]
    twice = sorted({name for name in [*names, *undos] if [*names, *undos].count(name) > 1})
    if not definition.name or definition.version < 1:
        return "it needs a name and a version of 1 or more."
    if not 1 <= len(names) <= STEPS_MAX:
        return f"it has {len(names)} steps; it needs 1 to {STEPS_MAX}."
    if not all(names) or not all(undos):
        return "a step or compensation has no name; give it one."
    if twice:
        return f"it uses {', '.join(twice)} twice; give each step and compensation a name of its own."
    if definition.pivot not in names:
        return f"its pivot {definition.pivot} is none of its steps; name one of {', '.join(names)}."
    late = [step for step in definition.steps[names.index(definition.pivot) + 1 :] if step.compensation or step.pins]
    if late:
        return (
            f"{late[0].name} comes after the pivot {definition.pivot}, where nothing is undone:"
            " it can neither have a compensation nor pin. Remove that, or move the pivot."
        )
    if sum(step.pins for step in definition.steps) > 1:
        return "more than one step pins; leave one."
    both = [step.name for step in definition.steps if step.pins and step.can_wait]
    if both:
        return f"{both[0]} pins and can wait: after the pin nothing else decides. Let another step wait."
    for step in definition.steps:
        for operation in (step.action, step.compensation.operation if step.compensation else step.action):
            if not isinstance(operation, Local | Remote):
                return f"{step.name} does {operation!r}; it must be a Local or a Remote operation."
    return None


def _outline_of(step: Step, *, is_pivot: bool) -> str:
    undo = step.compensation
    words = [
        step.name,
        "(remote)" if step.is_remote else "",
        "(pins)" if step.pins else "",
        "(waits)" if step.can_wait else "",
        "(pivot)" if is_pivot else "",
        f"undone by {undo.name}" if undo is not None else "",
        "(remote)" if undo is not None and isinstance(undo.operation, Remote) else "",
        "(waits)" if undo is not None and undo.can_wait else "",
    ]
    return " ".join(word for word in words if word)
