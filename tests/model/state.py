"""All there is at one moment, as one value that can be kept in a set: databases, memories, what is on its way."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from domain.payments import ProviderState
from domain.saga import Direction
from domain.seats import SeatReservationStatus
from tests.model.provider import FORWARD_OPERATIONS, Operation, Provider, Request
from tests.model.row import Footing, Outcome, Row, Step

__all__ = ["REPLICAS", "Answer", "Call", "Look", "Seat", "Stage", "Standing", "State", "Work", "alike", "tidy"]

REPLICAS: Final = ("A", "B")
_OTHER: Final = {"A": "B", "B": "A"}


class Seat(NamedTuple):
    """The seat, and who has a live reservation of it. The unique index that would stop two is left out."""

    reservation: SeatReservationStatus | None = None
    """The saga's own."""
    rival: bool = False
    available: bool = True

    @property
    def is_held(self) -> bool:
        """Whether the saga holds it."""
        return self.reservation is SeatReservationStatus.HELD

    def end(self, status: SeatReservationStatus) -> Seat:
        """The saga's reservation comes to its end, and the seat is free."""
        return self._replace(reservation=status, available=True)


class Stage(StrEnum):
    """How far a call is. Each stage is one request, out or about to leave."""

    ASK = "ASK"
    """`payments.authorize` or `capture`: the request itself."""
    WEIGH = "WEIGH"
    """It was answered with a 500: what the reference shows now."""
    LOOK = "LOOK"
    """`payments.ensure_no_charge`: what the reference shows."""
    UNDO = "UNDO"
    """Void or refund, by what was found."""
    WEIGH_UNDO = "WEIGH_UNDO"
    """That was answered with a 500: what the reference shows now."""


class Answer(NamedTuple):
    """What a call came to, and exactly which attempt made it (`executor.Completion`)."""

    epoch: int
    direction: Direction
    position: int
    attempt: int
    outcome: Outcome
    before: Footing | None = None
    """Of a call that was not sent: what the saga stood on before it."""

    def belongs_to(self, row: Row) -> bool:
        """Whether this is the answer that the saga waits for."""
        return self[:4] == (row.epoch, row.direction, row.position, row.attempt)


class Call(NamedTuple):
    """A call in a replica's memory, from the commit that ordered it to its answer."""

    caller: str
    epoch: int
    direction: Direction
    position: int
    attempt: int
    round: int
    stage: Stage
    before: Footing | None = None
    """None of a call of an older epoch: its answer is not believed."""
    found: ProviderState | None = None

    @property
    def request(self) -> Request | None:
        """What is out, where it is not a mere look."""
        match self.stage:
            case Stage.ASK:
                operation = Operation.AUTHORIZE if self.position == Step.AUTHORIZE else Operation.CAPTURE
            case Stage.UNDO:
                operation = Operation.REFUND if self.found is ProviderState.CAPTURED else Operation.VOID
            case _:
                return None
        return Request(operation, self.position, self.round)

    @property
    def name(self) -> str:
        """What is asked by whom, for a person."""
        request = self.request
        what = f"{request.operation} of round {request.round}" if request else "look at the reference"
        return f"{self.caller}'s {what} (epoch {self.epoch})"


class Standing(StrEnum):
    """Where the saga stands at its owner's gate, in the memory of both; a call takes its place along."""

    NONE = "NONE"
    LINE = "LINE"
    """It stands in line."""
    PLACE = "PLACE"
    """It may call, and its owner has been told."""


class Work(NamedTuple):
    """The owner's note on the saga (`executor.Work`). `orphaned`: nobody here waits for an answer."""

    answer: Answer | None = None
    orphaned: bool = False


class Look(NamedTuple):
    """What a turn of a flawed protocol has read too early."""

    replica: str
    row: Row
    work: Work
    now: int


class State(NamedTuple):
    """One moment."""

    row: Row = Row(owner="A")
    seat: Seat = Seat()
    provider: Provider = Provider()
    now: int = 0
    lapsed: bool = False
    """Whether the owner's lease has lapsed, as it was paused. It may wake up at any time, or have done so."""
    work: Work = Work()
    calls: frozenset[Call] = frozenset()
    wire: frozenset[Request] = frozenset()
    """Requests whose callers have given them up."""
    troubles: int = 0
    """How many more times the provider may go wrong."""
    interruptions: int = 0
    """How many more times a replica may."""
    words: int = 0
    """How many more cards the customer may say; the first one is card 1."""
    obeyed: frozenset[int] = frozenset()
    """The cards whose attempt has begun."""
    word_counted_twice: bool = False
    word_found_open: bool = False
    """Whether a flawed `say` has found the wait open."""
    looks: frozenset[Look] = frozenset()
    swept: bool = False
    """Whether a flawed sweep has found the hold lapsed."""
    is_away: bool = False
    """Whether the provider has gone for good: no request leaves any more, and the gate gives no place."""
    standing: Standing = Standing.NONE
    written_by_stranger: bool = False
    """Whether a replica that did not own the saga has written to it, or to what is the saga's."""

    def __str__(self) -> str:
        row, seat = self.row, self.seat
        signals = [name for name, given in (("cancel", row.cancel_requested), ("expired", row.hold_expired)) if given]
        late = sorted(request.operation.value for request in self.wire)
        facts = [
            f"{row.status.value} in epoch {row.epoch} of {row.owner or 'a dead process'}",
            "over" if row.is_over else f"{row.phase.value} at {row.operation}",
            f"attempt {row.attempt} in round {row.round}",
            f"signals: {', '.join(signals) or 'none'}",
            f"card: {row.card or 'none'}{f', and {row.word} was said' * bool(row.word)}",
            f"at {self.now}" if row.pinned_at is None else f"at {self.now}, pinned at {row.pinned_at}",
            f"seat: {seat.reservation.value if seat.reservation else 'never held'}{', and a rival' * seat.rival}",
            f"provider: {self.provider.state.value}",
            f"on the wire: {', '.join(late) or 'nothing'}{', and the provider is away' * self.is_away}",
            f"at the gate: {self.standing.value}",
        ]
        return "; ".join(facts)


def tidy(state: State) -> State:
    """Leave out what can make no difference any more, so that states are equal that behave equally."""
    row, provider, wire = state.row, state.provider, state.wire
    if wire and any(provider.kept(request) for request in wire):
        # It would be answered as the first one under its key was, and nobody listens.
        state = state._replace(wire=frozenset(request for request in wire if provider.kept(request) is None))
    if provider.answers and not all(_may_come(state, request) for request, _ in provider.answers):
        answers = frozenset(kept for kept in provider.answers if _may_come(state, kept[0]))
        state = state._replace(provider=provider._replace(answers=answers))
    if any(call.before is not None and call.epoch != row.epoch for call in state.calls):
        kept = frozenset(call if call.epoch == row.epoch else call._replace(before=None) for call in state.calls)
        state = state._replace(calls=kept)
    if not row.is_forward and (row.cancel_requested or row.hold_expired or row.uncertain or row.card):
        # Who has turned round asks for none of these any more.
        state = state._replace(row=row._replace(cancel_requested=False, hold_expired=False, uncertain=False, card=0))
    if not row.is_forward and (state.words or state.obeyed):
        state = state._replace(words=0, obeyed=frozenset())
    if row.is_over and (state.troubles or state.interruptions or state.lapsed or state.is_away or state.work != Work()):
        # Nobody waits for the calls that are still out: they land now, late or never without any fault.
        state = state._replace(troubles=0, interruptions=0, lapsed=False, is_away=False, work=Work())
    return state


def _may_come(state: State, request: Request) -> bool:
    """Whether anybody may still send something under this key."""
    row = state.row
    direction = Direction.FORWARD if request.operation in FORWARD_OPERATIONS else Direction.BACKWARD
    for call in state.calls:
        if (call.direction, call.position, call.round) == (direction, request.position, request.round):
            return True
    if row.is_over or (direction is Direction.FORWARD and not row.is_forward):
        return False
    if row.direction is not direction:
        return True
    if row.position == request.position:
        return request.round >= row.round
    return (request.position > row.position) is row.is_forward


def alike(state: State) -> State:
    """The same for two states that differ only in which replica is called A: the owner is, or else a caller."""
    row = state.row
    if state.looks:
        return state
    if row.owner == "A" or (row.owner is None and not any(call.caller == "B" for call in state.calls)):
        return state
    calls = frozenset(call._replace(caller=_OTHER[call.caller]) for call in state.calls)
    return state._replace(row=row._replace(owner=_OTHER[row.owner] if row.owner else None), calls=calls)
