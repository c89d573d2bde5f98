"""The sagas of a turn, each moved as far as it can go: settle the answers, then begin every step that is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain.clock import SECOND
from domain.outcome import Busy, Refused, Succeeded, Unknown
from domain.saga.asking import ask
from domain.saga.definition import (
    Again,
    Batch,
    Local,
    PrepareVerdict,
    Ready,
    Remote,
    SettleVerdict,
    Skipped,
    Waiting,
)
from domain.saga.machine import Run
from domain.saga.states import Direction, Phase, SagaStatus
from domain.saga.turn import INTERRUPTED, Turn

__all__ = ["begin", "passes_gate", "settle"]

_SIMULATED: Final = Refused("SIMULATED", "Failed as asked for by the simulation.")
_OF_LOCAL: Final = (Succeeded, Refused, Unknown, Skipped, Busy)
_OF_SETTLE: Final = (*_OF_LOCAL, Again)
_OF_PREPARE: Final = (Ready, Succeeded, Refused, Skipped, Busy)
_OF_WAITING: Final[Mapping[tuple[type, ...], tuple[type, ...]]] = {
    allowed: (*allowed, Waiting) for allowed in (_OF_LOCAL, _OF_SETTLE, _OF_PREPARE)
}


async def settle(turn: Turn, runs: list[Run], *, begun: bool) -> None:
    """Write the outcomes of one group's calls; if no call was needed, the attempt also begins here."""
    operation = runs[0].operation[1]
    assert isinstance(operation, Remote)
    batch = turn.batch(runs, next_attempt=not begun)
    verdicts: Sequence[SettleVerdict]
    if operation.settle is None:
        verdicts = [run.outcome or INTERRUPTED for run in runs]
    else:
        verdicts = await ask(operation.settle, batch, _may(runs, _OF_SETTLE))
    for run, verdict in zip(runs, verdicts, strict=True):
        if isinstance(verdict, Busy):
            run.come_back()
            if begun:
                turn.unsettled.append(turn.work[run.id])
            continue
        if begun and not isinstance(verdict, Again):
            turn.leave_place(run)
        if isinstance(verdict, Waiting):
            run.begin_wait(verdict)
            continue
        if not begun:
            _start_unless_looking(run)
            _pin(run)
        if isinstance(verdict, Again):
            if run.is_looking:
                # What the wait was for has come, and the step goes on with an attempt.
                run.start_attempt()
            run.call_again()
            turn.order_call(run, operation, run.footing)
        else:
            _apply(turn, run, verdict, proven=not begun or isinstance(run.outcome, Refused), batch=batch)


async def begin(turn: Turn, runs: list[Run]) -> None:
    """Begin the next attempt of every run of one group: run local operations, and remote ones up to their call."""
    runs = [run for run in runs if not _does_as_simulated(run)]
    if not runs:
        return
    name, operation, _ = runs[0].operation
    turn.names.add(name)
    match operation:
        case Local(effect):
            batch = turn.batch(runs, next_attempt=True)
            for run, verdict in zip(runs, await ask(effect, batch, _may(runs, _OF_LOCAL)), strict=True):
                match verdict:
                    case Busy():
                        run.come_back()
                    case Waiting():
                        run.begin_wait(verdict)
                    case _:
                        _start_unless_looking(run)
                        _apply(turn, run, verdict, proven=True, batch=batch)
        case Remote(prepare=None):
            for run in turn.admit(runs, operation):
                _call(turn, run, operation)
        case Remote(prepare=prepare):
            assert prepare is not None
            runs = turn.admit(runs, operation)
            if not runs:
                return
            batch = turn.batch(runs, next_attempt=True)
            at_once: list[Run] = []
            for run, answer in zip(runs, await ask(prepare, batch, _may(runs, _OF_PREPARE)), strict=True):
                match answer:
                    case Busy():
                        run.come_back()
                    case Ready():
                        _call(turn, run, operation)
                    case Succeeded():
                        run.outcome = answer
                        at_once.append(run)
                    case Waiting():
                        run.begin_wait(answer)
                    case _:
                        _start_unless_looking(run)
                        _apply(turn, run, answer, proven=True, batch=batch)
            if at_once:
                await settle(turn, at_once, begun=False)


def passes_gate(run: Run) -> bool:
    """Whether the run's next attempt may begin now. Signals are obeyed here, under the saga's lock."""
    if run.busy or run.status.is_terminal or run.phase is not Phase.READY:
        return False
    if run.skip_step is not None:
        _obey_skip(run)
    if run.retry_requested_at is not None:
        run.retry_now()
    if run.direction is Direction.FORWARD and run.pinned_at is None and not run.is_past_pivot:
        if run.hold_expired_at is not None or run.is_wait_over or (run.is_ready and _outlasts_deadline(run)):
            run.expire()
        elif run.cancel_requested_at is not None:
            run.cancel()
    elif run.is_wait_over:
        run.overrun_wait()
    return run.is_ready


def _outlasts_deadline(run: Run) -> bool:
    """Whether the next attempt might still be running when the deadline passes. The pin checks this itself.

    A look is no attempt: a wait has its own deadline.
    """
    if run.deadline_at is None or run.step.pins or run.is_looking:
        return False
    return run.at + round(run.operation[2].budget_seconds * SECOND) > run.deadline_at


def _obey_skip(run: Run) -> None:
    step, reason = run.skip_step, run.skip_reason
    run.skip_step = run.skip_reason = None
    run.touched = True
    if run.status is SagaStatus.STUCK and run.step.name == step:
        run.skip(reason or "No reason was given.", given_up=True)


def _may(runs: Sequence[Run], allowed: tuple[type, ...]) -> tuple[type, ...]:
    """The verdicts that the operation of these runs may answer."""
    run = runs[0]
    return _OF_WAITING[allowed] if run.definition.can_wait(run.position, run.direction) else allowed


def _call(turn: Turn, run: Run, operation: Remote) -> None:
    before = run.footing
    if run.is_looking:
        run.start_look()
    else:
        run.start_attempt()
        _pin(run)
        run.start_call()
    turn.order_call(run, operation, before)


def _start_unless_looking(run: Run) -> None:
    """Begin the attempt that is settled at once. A look is no attempt."""
    if not run.is_looking:
        run.start_attempt()


def _pin(run: Run) -> None:
    if run.direction is Direction.FORWARD and run.step.pins and run.pinned_at is None:
        run.pin()


def _does_as_simulated(run: Run) -> bool:
    """Let the run pause or fail, if its simulation asks for that; the work of its attempt does not begin then."""
    simulation = run.simulation
    if simulation is None:
        return False
    if run.is_to_pause:
        run.start_pause()
        return True
    forward = run.direction is Direction.FORWARD
    if run.operation[0] not in (simulation.fail_at if forward else simulation.fail_compensation_at):
        return False
    run.start_attempt()
    run.fall_short(_SIMULATED, proven=True)
    return True


def _apply(turn: Turn, run: Run, verdict: PrepareVerdict | SettleVerdict, *, proven: bool, batch: Batch[Any]) -> None:
    match verdict:
        case Succeeded():
            run.deadline_at = batch.deadlines.get(run.id, run.deadline_at)
            run.complete(verdict)
        case Skipped(summary):
            run.skip(summary)
        case Refused() | Unknown():
            run.fall_short(verdict, proven=proven, is_interrupted=run.outcome is INTERRUPTED)
        case Ready() | Again() | Busy() | Waiting():
            raise AssertionError(f"{run.operation[0]} may not answer {type(verdict).__name__} here")
