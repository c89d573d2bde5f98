"""Who may do what to one saga, one seat and one reference, and when: the protocol of `domain.saga`, interleaved.

Two replicas share a database and a provider. One of them has started a saga; then everybody
moves in any order, and every order is walked::

    owner      turns: one transaction, from the fence to the commit. Its calls leave afterwards.
    replicas   take over from an owner whose lease has lapsed; wake up and go on with what they
               remember: calls that were out, answers to them.
    faults     an owner is paused beyond its lease, is killed and starts again, or does not hear
               that its commit went through (`interruptions_max`); the provider declines, answers
               500 with or without effect, or its answer is lost (`troubles_max`).
    wire       a request whose answer was lost has still to land: now, late or never.
    sweep      expires what has lapsed, and signals.
    provider   may be out of reach at any time, so that a request is not sent; once it `goes_away`, for good.
    gate       where there is one (`has_gate`), a call needs a place; others may have all of them, it may come later,
               and be lost again.
    operator   cancels, and wants a stuck saga to go on.
    customer   has not paid yet where `words_max` is not 0: AUTHORIZE waits for a card, and so many may be said, at
               any replica, each once or again. A declined card asks for another one.
    rival      another booking, which takes the seat where it can.
    clock      ticks while the seat is held. Where a card is waited for, it may be set back (an interruption).

A move is what others can see of it: one commit, or one request landing. What lies within is
not cut further, for these reasons:

- A turn and a sweep lock all that they read, from their first statement to their commit, and
  who misses a row comes back: so each is one move, and what the sweep read before is a hint.
- That a request lands and that its answer arrives is one move: where something comes between,
  the answer is lost or its caller is gone, and these are moves.
- One operation a turn. That several may share one only leaves states out; `delayMs` has them all.
- A backoff may be over whenever the owner looks; so a retry asked for only shows where it is stuck.
- A paused process is one that does not move for a while; that its lease lapses is the move. A
  lapsed lease harms nobody who owns nothing, and who takes over has renewed its own.
- A dead process has left its requests on the wire. It starts again under another boot id, so
  nothing tells it from any other replica.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from domain.payments import ProviderState
from domain.saga import Direction, Phase, SagaStatus
from domain.seats import SeatReservationStatus
from tests.model.explorer import STATES_MAX, Move, Walk, walk
from tests.model.flaws import Flaw
from tests.model.guarantees import Guarantee, broken_by
from tests.model.provider import Operation, Reply
from tests.model.row import HOLD_TICKS, STEP_BUDGET_TICKS, WAIT_TICKS, Footing, Outcome, Row, Step
from tests.model.state import REPLICAS, Answer, Call, Look, Stage, Standing, State, Work, alike, tidy

__all__ = ["Protocol", "walk_protocol", "weigh"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """The faithful protocol, or one with a `flaw`, with so many faults at most in one run."""

    flaw: Flaw | None = None
    troubles_max: int = 1
    interruptions_max: int = 1
    words_max: int = 0
    has_gate: bool = False
    goes_away: bool = False

    @property
    def start(self) -> State:
        """A has started the saga."""
        return State(troubles=self.troubles_max, interruptions=self.interruptions_max, words=self.words_max)

    def moves(self, state: State) -> list[Move[State]]:
        """All that may happen next."""
        found: list[Move[State]] = []
        if self.has_ended(state):
            if state.is_away:
                return []
        else:
            self._let_owner_turn(state, found)
            self._let_owner_fail(state, found)
            self._let_others_take_over(state, found)
            self._let_operator_signal(state, found)
            self._let_customer_say(state, found)
            self._let_gate_decide(state, found)
            if self.goes_away and not state.is_away:
                away = state._replace(is_away=True)
                found.append(Move("the provider goes away for good", away, is_fair=False))
        for look in state.looks:
            self._let_turn_go_by_look(state, look, found)
        for call in state.calls:
            self._let_call_go_on(state, call, found)
        self._let_wire_deliver(state, found)
        self._let_sweep_expire(state, found)
        self._let_rival_reserve(state, found)
        if state.seat.is_held and state.now < HOLD_TICKS:
            found.append(Move("the clock ticks", state._replace(now=state.now + 1)))
        if self.words_max and state.row.is_forward and state.now and state.interruptions:
            back = state._replace(now=state.now - 1, interruptions=state.interruptions - 1)
            found.append(Move("the clock is set back", back, is_fair=False))
        return [Move(line, tidy(after), is_fair) for line, after, is_fair in found if after is not state]

    def has_ended(self, state: State) -> bool:
        """Whether the saga has done what it can by itself: nothing is undone while the provider stays away."""
        return state.row.is_over or (state.is_away and not state.row.is_forward)

    # ------------------------------------------------------------------ the owner's turn

    def _let_owner_turn(self, state: State, found: list[Move[State]]) -> None:
        owner = state.row.owner
        if owner is None:
            return
        if self.flaw in _READING_EARLY:
            if not any(look.replica == owner for look in state.looks):
                looks = state.looks | {Look(owner, state.row, state.work, state.now)}
                found.append(Move(f"{owner} reads before it locks", state._replace(looks=looks)))
            return
        line, after = self._turn(state)
        found.append(Move(f"{owner} turns: {line}", after))
        self._let_time_of_pin_end(state, found)
        if self._needs_place(after, state) and not state.is_away:
            line_up = self._stand_in_line(state)
            found.append(Move(f"{owner} turns: others have all places, so it stands in line", line_up, is_fair=False))
        if state.interruptions and len(after.calls) > len(state.calls):
            line = f"{owner} turns: {line}; that commits, and {owner} does not hear of it"
            unheard = after._replace(calls=state.calls, work=Work(orphaned=True), interruptions=state.interruptions - 1)
            found.append(Move(line, unheard, is_fair=False))

    def _turn(self, state: State) -> tuple[str, State]:
        """One transaction: settle what was answered, or begin what is due."""
        work = state.work
        if work != Work():
            state = state._replace(work=Work())
        if not state.row.is_due:
            return "it is not due", state
        if state.row.phase is not Phase.CALLING:
            return self._begin(state)
        if work.answer is not None and (work.answer.belongs_to(state.row) or self.flaw is Flaw.ANY_ANSWER_BELIEVED):
            if work.answer.before is not None:
                return self._stand_as_before(state, work.answer.before)
            return self._settle(state, work.answer.outcome)
        if work.orphaned:
            return self._settle(state, Outcome.UNKNOWN)
        return "nothing to do", state

    def _begin(self, state: State) -> tuple[str, State]:
        """Obey the signals, then begin the next attempt: whole where it is local, up to its call where not."""
        if self.flaw is Flaw.LINE_DEAF and state.standing is Standing.LINE:
            return "it stands in line, and does not look up", state
        standing = state.standing
        line, after = self._obey_or_begin(state)
        if after.row.phase is Phase.CALLING:
            if self.has_gate and state.is_away and standing is not Standing.PLACE:
                return "it stands in line", self._stand_in_line(state)
            return line, after._replace(standing=Standing.NONE)
        if standing is not Standing.NONE and self.flaw is not Flaw.PLACE_KEPT and after is not state:
            # It wants something else by now.
            return line, after._replace(standing=Standing.NONE)
        return line, after

    def _obey_or_begin(self, state: State) -> tuple[str, State]:
        row = state.row
        if row.retry_requested:
            row = row._replace(retry_requested=False)
            state = state._replace(row=row)
        only_waits = row.status is SagaStatus.WAITING and not row.word
        if row.is_forward and row.pinned_at is None and not self._passes_signals_by(state):
            is_late = row.position == Step.AUTHORIZE and state.now + STEP_BUDGET_TICKS > HOLD_TICKS
            if row.hold_expired or (state.now >= WAIT_TICKS if only_waits else is_late):
                row = row._replace(hold_expired=True).turn_round(self.flaw)
                return "the hold has lapsed, or might before the step is done; it turns round", state._replace(row=row)
            if row.cancel_requested:
                return "it was cancelled, and turns round", state._replace(row=row.turn_round(self.flaw))
        if only_waits:
            return "it waits on", state
        if self._wants_card(row) and not row.card and not row.word:
            return "AUTHORIZE waits for a card", state._replace(row=row.begin_wait(round_spent=False))
        match row.position, row.direction:
            case Step.RESERVE, Direction.FORWARD:
                return self._reserve(state)
            case Step.RESERVE, _:
                return self._release(state)
            case Step.CONFIRM, Direction.FORWARD if row.pinned_at is None:
                return self._pin(state)
            case _:
                return self._call(state)

    def _wants_card(self, row: Row) -> bool:
        """Whether the saga stands where it pays, and the customer pays later."""
        return bool(self.words_max) and row.is_forward and row.position == Step.AUTHORIZE

    def _passes_signals_by(self, state: State) -> bool:
        return self.flaw is Flaw.PIN_WITHOUT_SIGNALS and state.row.position == Step.CONFIRM

    def _reserve(self, state: State) -> tuple[str, State]:
        """RESERVE, local: its effect and the saga's row commit together."""
        row, seat = state.row.start_attempt(), state.seat
        if not seat.is_held and not seat.available:
            row = row.fall_short(Outcome.REFUSED, state.now, proven=True, flaw=self.flaw)
            return "RESERVE finds the seat taken", state._replace(row=row)
        seat = seat._replace(reservation=SeatReservationStatus.HELD, available=False)
        return "RESERVE holds the seat", state._replace(row=row.complete(state.now), seat=seat)

    def _release(self, state: State) -> tuple[str, State]:
        """Its undoing, local too. What has expired meanwhile is as good as released."""
        row, seat = state.row.start_attempt().complete(state.now), state.seat
        seat = seat.end(SeatReservationStatus.RELEASED) if seat.is_held else seat
        return "RESERVE is undone", state._replace(row=row, seat=seat)

    def _pin(self, state: State) -> tuple[str, State]:
        """CONFIRM's prepare: the signals have been obeyed, the hold is locked, and now compared with the clock."""
        row = state.row
        if not state.seat.is_held or state.now >= HOLD_TICKS:
            row = row.start_attempt().fall_short(Outcome.REFUSED, state.now, proven=True, flaw=self.flaw)
            return "CONFIRM finds the hold lapsed, and does not pin", state._replace(row=row)
        line, state = self._call(state._replace(row=row._replace(pinned_at=state.now)), before=row.footing)
        return f"pinned; {line}", state

    def _call(self, state: State, before: Footing | None = None) -> tuple[str, State]:
        """A remote attempt: its intent commits here, its call leaves afterwards. `before`: footing without the pin."""
        word, before = state.row.word, before or state.row.footing
        row = state.row.start_attempt().start_call()
        if word and state.row.status is SagaStatus.WAITING:
            twice = state.word_counted_twice or word in state.obeyed
            state = state._replace(obeyed=state.obeyed | {word}, word_counted_twice=twice)
        if self.flaw is Flaw.WORD_KEPT:
            row = row._replace(word=word)
        assert row.owner is not None
        call = Call(
            caller=row.owner,
            epoch=row.epoch,
            direction=row.direction,
            position=row.position,
            attempt=row.attempt,
            round=row.attempt if self.flaw is Flaw.KEY_PER_ATTEMPT else row.round,
            stage=Stage.ASK if row.is_forward else Stage.LOOK,
            before=before,
        )
        return f"{row.operation} begins, attempt {row.attempt}", state._replace(row=row, calls=state.calls | {call})

    def _stand_as_before(self, state: State, before: Footing) -> tuple[str, State]:
        """The call was not sent."""
        row = state.row.not_sent(before, state.now, flaw=self.flaw)
        return f"{state.row.operation} was not sent, so the saga is {row.status.value}", state._replace(row=row)

    def _settle(self, state: State, outcome: Outcome) -> tuple[str, State]:
        """Write what the call came to. CONFIRM's settle books the seat in the same transaction."""
        row, seat = state.row, state.seat
        line = f"{row.operation} settles as {outcome.value}"
        is_proven = outcome is Outcome.REFUSED or (outcome is Outcome.UNKNOWN and self.flaw is Flaw.CARD_UNPROVEN)
        if self._wants_card(row) and is_proven:
            waiting = row.begin_wait(round_spent=True)
            if self.flaw is Flaw.WORD_KEPT:
                waiting = waiting._replace(word=row.word)
            return f"{line}, so it waits for another card", state._replace(row=waiting)
        if outcome is not Outcome.SUCCEEDED:
            proven = outcome is not Outcome.UNKNOWN
            row = row.fall_short(outcome, state.now, proven=proven, flaw=self.flaw)
            return f"{line}, so the saga is {row.status.value}", state._replace(row=row)
        if row.is_forward and row.position == Step.CONFIRM:
            if not seat.is_held:
                row = row.fall_short(Outcome.REFUSED, state.now, proven=False, flaw=self.flaw)
                return f"{line}, but the hold is lost; it turns round", state._replace(row=row)
            seat = seat._replace(reservation=SeatReservationStatus.CONFIRMED)
        return line, state._replace(row=row.complete(state.now), seat=seat)

    # ------------------------------------------------------------------ the gate

    def _needs_place(self, after: State, before: State) -> bool:
        """Whether this turn begins a call, which has had no place yet."""
        begins = len(after.calls) > len(before.calls)
        return self.has_gate and begins and before.standing is Standing.NONE

    def _stand_in_line(self, state: State) -> State:
        """Begin nothing, and be due again after a while."""
        row = state.row._replace(retry_requested=False)
        if self.flaw is Flaw.LINE_IN_MEMORY:
            row = row._replace(is_due=False)
        if self.flaw is Flaw.BEGUN_IN_LINE:
            if row.is_forward and row.position == Step.CONFIRM and row.pinned_at is None:
                row = row.start_attempt()._replace(pinned_at=state.now)
        return state._replace(row=row, work=Work(), standing=Standing.LINE)

    def _let_gate_decide(self, state: State, found: list[Move[State]]) -> None:
        """The place comes; or one that was given, or a place in line, is lost: then the saga asks again."""
        if state.standing is Standing.LINE and not state.is_away:
            row = state.row._replace(is_due=True)
            found.append(Move("the gate gives it a place", state._replace(row=row, standing=Standing.PLACE)))
        if state.standing is not Standing.NONE:
            lost = state._replace(standing=Standing.NONE)
            found.append(Move("the gate forgets it", lost, is_fair=False))

    def _let_time_of_pin_end(self, state: State, found: list[Move[State]]) -> None:
        """A pin outlives the hold by the step's budget; then tries that do not leave end, in line too."""
        row, answer = state.row, state.work.answer
        if row.pinned_at is None or not row.is_forward or state.now < HOLD_TICKS or self.flaw is Flaw.UNSENT_FOR_EVER:
            return
        if answer is not None and answer.before is not None and answer.belongs_to(row):
            row = row.not_sent(answer.before, state.now, pin_is_late=True, flaw=self.flaw)
        elif state.standing is Standing.LINE and row.phase is Phase.READY:
            row = row._replace(hold_expired=True).turn_round(self.flaw)
        else:
            return
        turned = state._replace(row=row, work=Work(), standing=Standing.NONE)
        found.append(Move(f"{row.owner} turns: the pin's time is up too, and it turns round", turned))

    # ------------------------------------------------------------------ what happens to replicas

    def _let_owner_fail(self, state: State, found: list[Move[State]]) -> None:
        """Paused, or killed. Its requests may be out, or never have left: then they never land."""
        owner = state.row.owner
        if owner is None:
            return
        if state.lapsed:
            found.append(Move(f"{owner} wakes up and renews its lease", state._replace(lapsed=False)))
        if not state.interruptions:
            return
        left = state.interruptions - 1
        if not state.lapsed:
            paused = state._replace(lapsed=True, interruptions=left)
            found.append(Move(f"{owner} is paused until its lease has lapsed", paused, is_fair=False))
        calls = frozenset(call for call in state.calls if call.caller == owner)
        dead = state._replace(
            row=state.row._replace(owner=None),
            lapsed=False,
            work=Work(),
            standing=Standing.NONE,
            calls=state.calls - calls,
            wire=state.wire | {call.request for call in calls if call.request is not None},
            looks=frozenset(look for look in state.looks if look.replica != owner),
            interruptions=left,
        )
        found.append(Move(f"{owner} is killed, and starts again as another process", dead, is_fair=False))

    def _let_others_take_over(self, state: State, found: list[Move[State]]) -> None:
        row = state.row
        if row.owner is not None and not state.lapsed:
            return
        for replica in REPLICAS:
            if replica != row.owner:
                taken = row._replace(owner=replica, epoch=row.epoch + 1)
                work = Work(orphaned=row.phase is Phase.CALLING)
                line = f"{replica} takes the saga over, epoch {taken.epoch}"
                found.append(Move(line, state._replace(row=taken, work=work, lapsed=False, standing=Standing.NONE)))

    # ------------------------------------------------------------------ calls

    def _let_call_go_on(self, state: State, call: Call, found: list[Move[State]]) -> None:
        """One request of a call: it lands and is answered, or something goes wrong."""
        request = call.request
        self._let_call_stay(state, call, found)
        if state.is_away:
            return
        if request is None:
            found.append(self._look(state, call))
            if state.troubles:
                unanswered = self._answered(state, call, Outcome.UNKNOWN)
                found.append(_trouble(f"{call.name} is not answered", unanswered))
            return
        provider, reply = state.provider.answer(request, self.flaw)
        landed = state._replace(provider=provider)
        found.append(Move(f"{call.name} lands and is answered {reply.value}", self._replied(landed, call, reply)))
        if not state.troubles:
            return
        lost = self._answered(state._replace(wire=state.wire | {request}), call, Outcome.UNKNOWN)
        found.append(_trouble(f"the answer to {call.name} is lost", lost))
        if state.provider.kept(request) is not None:
            return
        failed = state._replace(provider=state.provider.keep(request, Reply.ERROR))
        line = f"{call.name} is answered 500, which is kept, and has no effect"
        found.append(_trouble(line, self._replied(failed, call, Reply.ERROR)))
        if reply is not Reply.OK:
            return
        done = state._replace(provider=provider._replace(answers=state.provider.answers).keep(request, Reply.ERROR))
        line = f"{call.name} is answered 500, which is kept, and has its effect"
        found.append(_trouble(line, self._replied(done, call, Reply.ERROR)))
        if request.operation is Operation.AUTHORIZE:
            declined = state._replace(provider=state.provider.keep(request, Reply.REFUSED))
            found.append(_trouble(f"{call.name} is declined", self._replied(declined, call, Reply.REFUSED)))

    def _let_call_stay(self, state: State, call: Call, found: list[Move[State]]) -> None:
        """The request does not leave. If one before it may have had an effect, the call is unknown all the same."""
        if call.stage in _AFTER_SENT and self.flaw is not Flaw.UNSENT_AFTER_SENT:
            if state.is_away:
                found.append(Move(f"{call.name} is not sent", self._answered(state, call, Outcome.UNKNOWN)))
            # Else this is as if it were not answered.
            return
        unsent = self._answered(state, call, Outcome.NOT_SENT)
        if self.goes_away:
            found.append(Move(f"{call.name} is not sent", unsent, is_fair=state.is_away))
        elif state.troubles:
            found.append(_trouble(f"{call.name} is not sent", unsent))

    def _look(self, state: State, call: Call) -> Move[State]:
        """What a call reads, and makes of it."""
        shown = state.provider.state
        if self.flaw is Flaw.ABSENT_IS_UNDONE and call.stage is Stage.LOOK and shown is ProviderState.ABSENT:
            outcome: Outcome | None = Outcome.SUCCEEDED
        else:
            outcome = weigh(call, shown)
        if outcome is None:
            after = _next_stage(state, call, Stage.UNDO, shown)
        else:
            after = self._answered(state, call, outcome)
        return Move(f"{call.name} finds {shown.value}", after)

    def _replied(self, state: State, call: Call, reply: Reply) -> State:
        match reply, call.stage:
            case Reply.OK, _:
                return self._answered(state, call, Outcome.SUCCEEDED)
            case Reply.REFUSED, Stage.ASK:
                return self._answered(state, call, Outcome.REFUSED)
            case Reply.REFUSED, _:
                return _next_stage(state, call, Stage.LOOK)
            case _, Stage.ASK:
                return _next_stage(state, call, Stage.WEIGH)
            case _:
                return _next_stage(state, call, Stage.WEIGH_UNDO, call.found)

    def _answered(self, state: State, call: Call, outcome: Outcome) -> State:
        """The call is over. Its caller notes the answer, unless it has lost the saga and finds that by the fence."""
        state = state._replace(calls=state.calls - {call})
        if state.row.is_over or call.caller != state.row.owner:
            return state
        if call.epoch != state.row.epoch and self.flaw not in _NOTING_OLD_ANSWERS:
            # It has the saga again, but not by this call: the note of the takeover stands.
            return state
        before = call.before if outcome is Outcome.NOT_SENT else None
        return state._replace(
            work=Work(Answer(call.epoch, call.direction, call.position, call.attempt, outcome, before))
        )

    def _let_wire_deliver(self, state: State, found: list[Move[State]]) -> None:
        for request in state.wire:
            provider, reply = state.provider.answer(request, self.flaw)
            after = state._replace(provider=provider, wire=state.wire - {request})
            line = f"a late {request.operation} lands after all, and would be answered {reply.value}"
            found.append(Move(line, after, is_fair=False))

    # ------------------------------------------------------------------ the sweep, and people

    def _let_sweep_expire(self, state: State, found: list[Move[State]]) -> None:
        """Lock the saga and leave it out where it is pinned, lock the hold, compare, expire and signal."""
        row, seat = state.row, state.seat
        may_expire = row.pinned_at is None or self.flaw is Flaw.SWEEP_AFTER_PIN
        lapsed = may_expire and seat.is_held and state.now >= HOLD_TICKS
        if self.flaw is Flaw.SWEEP_BEFORE_LOCK and not state.swept:
            if lapsed:
                found.append(Move("the sweep finds the hold lapsed", state._replace(swept=True)))
            return
        if not lapsed and not state.swept:
            return
        if row.is_forward and not row.is_over:
            row = row._replace(hold_expired=True)
        expired = state._replace(row=row, seat=seat.end(SeatReservationStatus.EXPIRED), swept=False)
        found.append(Move("the sweep expires the hold", expired))

    def _let_operator_signal(self, state: State, found: list[Move[State]]) -> None:
        """Cancel, refused once the pin has decided; and retry, where the saga is stuck."""
        row = state.row
        may_cancel = row.pinned_at is None or self.flaw is Flaw.CANCEL_AFTER_PIN
        if row.is_forward and may_cancel and not row.cancel_requested:
            after = state._replace(row=row._replace(cancel_requested=True))
            found.append(Move("the operator cancels, which is accepted", after, is_fair=False))
        if row.status is SagaStatus.STUCK and not row.retry_requested:
            after = state._replace(row=row._replace(retry_requested=True))
            found.append(Move("the operator asks for a retry", after, is_fair=False))

    def _let_customer_say(self, state: State, found: list[Move[State]]) -> None:
        """A card, which is judged under the row's lock. The same card said again changes nothing."""
        row = state.row
        if not state.words:
            return
        may_hear = row.status is SagaStatus.WAITING and not row.word and not row.cancel_requested
        is_open = may_hear and not row.hold_expired and state.now < WAIT_TICKS
        card = self.words_max - state.words + 1
        said = state._replace(row=row._replace(word=card), words=state.words - 1, word_found_open=False)
        if self.flaw is Flaw.WORD_JUDGED_BEFORE_LOCK:
            if state.word_found_open:
                found.append(Move(f"card {card} is accepted", said if may_hear else state, is_fair=False))
            elif is_open:
                open_ = state._replace(word_found_open=True)
                found.append(Move(f"card {card} finds that it is waited for", open_, is_fair=False))
        elif is_open:
            found.append(Move(f"the customer says card {card}, which is accepted", said, is_fair=False))

    def _let_rival_reserve(self, state: State, found: list[Move[State]]) -> None:
        if state.seat.available and not state.seat.rival:
            seat = state.seat._replace(rival=True, available=False)
            found.append(Move("another booking takes the seat", state._replace(seat=seat), is_fair=False))

    # ------------------------------------------------------------------ what flawed protocols do instead

    def _let_turn_go_by_look(self, state: State, look: Look, found: list[Move[State]]) -> None:
        """A turn that goes by what was read before its rows were locked: the time, or all of the saga's row."""
        state = state._replace(looks=state.looks - {look})
        is_owner = not state.row.is_over and (state.row.owner, state.row.epoch) == (look.replica, look.row.epoch)
        if self.flaw is Flaw.PIN_BEFORE_LOCK:
            if not is_owner:
                found.append(Move(f"{look.replica} finds that the saga is not its own any more", state))
                return
            line, after = self._turn(state._replace(now=look.now))
            found.append(Move(f"{look.replica} turns, by the clock it read: {line}", after._replace(now=state.now)))
            return
        line, after = self._turn(state._replace(row=look.row, work=look.work))
        row = after.row if is_owner or self.flaw is Flaw.NO_FENCE else state.row
        written = (row, after.seat) != (state.row, state.seat)
        after = after._replace(
            row=row,
            work=after.work if is_owner else state.work,
            written_by_stranger=state.written_by_stranger or (written and not is_owner),
        )
        found.append(Move(f"{look.replica} turns, by what it read: {line}", after))


def weigh(call: Call, shown: ProviderState) -> Outcome | None:
    """What the reference `shown` to a call that looks at it means: how the call ends, or None: it must be undone."""
    if call.stage is Stage.WEIGH:
        if shown in _DONE[call.position]:
            return Outcome.SUCCEEDED
        return Outcome.KEY_SPENT if shown in _UNTOUCHED[call.position] else Outcome.UNKNOWN
    if shown in (ProviderState.VOIDED, ProviderState.REFUNDED):
        return Outcome.SUCCEEDED
    if call.stage is Stage.WEIGH_UNDO:
        return Outcome.KEY_SPENT if shown is call.found else Outcome.UNKNOWN
    return None


def walk_protocol(protocol: Protocol, only: Guarantee | None = None, *, states_max: int = STATES_MAX) -> Walk[State]:
    """Walk all that can happen, until a promise is broken, or `only` that one."""
    return walk(
        protocol.start,
        protocol.moves,
        partial(broken_by, only=only),
        ends=protocol.has_ended,
        doomed=Guarantee.CAN_END if only in (None, Guarantee.CAN_END) else None,
        alike=alike,
        states_max=states_max,
    )


_DONE: Final[Mapping[int, frozenset[ProviderState]]] = {
    Step.AUTHORIZE: frozenset({ProviderState.AUTHORIZED, ProviderState.CAPTURED}),
    Step.CONFIRM: frozenset({ProviderState.CAPTURED}),
}
_UNTOUCHED: Final[Mapping[int, frozenset[ProviderState]]] = {
    Step.AUTHORIZE: frozenset({ProviderState.ABSENT, ProviderState.OPEN}),
    Step.CONFIRM: frozenset({ProviderState.AUTHORIZED}),
}
_AFTER_SENT: Final = frozenset({Stage.WEIGH, Stage.WEIGH_UNDO})
_READING_EARLY: Final = frozenset({Flaw.FENCE_AFTER_EFFECTS, Flaw.NO_FENCE, Flaw.PIN_BEFORE_LOCK})
_NOTING_OLD_ANSWERS: Final = frozenset({Flaw.OLD_ANSWER_OVERWRITES, Flaw.ANY_ANSWER_BELIEVED})


def _trouble(line: str, after: State) -> Move[State]:
    return Move(line, after._replace(troubles=after.troubles - 1), is_fair=False)


def _next_stage(state: State, call: Call, stage: Stage, found: ProviderState | None = None) -> State:
    return state._replace(calls=state.calls - {call} | {call._replace(stage=stage, found=found)})
