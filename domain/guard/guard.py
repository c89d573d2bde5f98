"""The guard of one provider: places for calls, in line, at the rate, while the breaker lets them."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from domain.clock import wall_now
from domain.gate import Entry, Lane, caller
from domain.guard.breaker import Breaker, BreakerState, Result, result_of
from domain.guard.limits import GuardLimits
from domain.guard.line import Line
from domain.guard.rate import Rate
from domain.outcome import NotSent, Outcome, Refused, Unknown
from domain.telemetry import Telemetry

__all__ = ["BreakerTurned", "Guard", "GuardStanding", "LastFailure"]

#: A place from the line that nobody takes is given to the next.
UNTAKEN_SECONDS_MAX: Final = 30.0
#: A place whose call is not heard of any more is taken back. All calls are much shorter.
PLACE_SECONDS_MAX: Final = 300.0
#: The guard looks at itself at least this often.
LOOK_SECONDS_MAX: Final = 1.0
#: What a caller is told who is refused while an operator's pause lasts.
PAUSED_RETRY_SECONDS: Final = 60
#: How many requests a call makes, until it is measured: authorizing opens a payment first, undoing reads it.
REQUESTS_AT_FIRST: Final = 2.0
REQUESTS_MAX: Final = 8.0
_NEWEST_WEIGHS: Final = 0.1


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The newest failure of a call: its code and message, and when, in microseconds of this machine's clock."""

    code: str
    message: str
    at: int


@dataclass(frozen=True, slots=True)
class GuardStanding:
    """The guard as it stands. `since`: this machine's clock in microseconds. `per_second` None: unlimited.

    `reason`: an operator's if it is PAUSED, else why the breaker is not CLOSED. `places` have a call out, or will.
    """

    state: BreakerState
    since: int
    reason: str | None
    places: int
    places_max: int
    waiting: dict[Lane, int]
    per_second: float | None
    last_failure: LastFailure | None


@dataclass(frozen=True, slots=True)
class BreakerTurned:
    """Telemetry: the breaker of `provider` went from one state to another; `waiting`: sagas in line."""

    provider: str
    before: BreakerState
    after: BreakerState
    reason: str | None
    waiting: int


@dataclass(slots=True)
class _Place:
    lane: Lane
    wave: int
    since: float
    is_taken: bool
    reserved: float
    made: int = 0


class Guard:
    """Implements the engine's gate for one provider, by `limits`.

    `enter`, `leave` and `note_request` never block, await nothing, and may be called by any thread. Places for
    sagas in line are given by `look`, on the event loop, which is called after each pause of `pause_seconds` and
    when `on_news` rings.
    """

    def __init__(
        self,
        provider: str,
        limits: GuardLimits,
        *,
        telemetry: Telemetry | None = None,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.provider = provider
        self._limits = limits
        self._telemetry = telemetry or Telemetry()
        self._clock = clock
        self._lock = threading.Lock()
        self._places_max, per_second = limits.share(1)
        self._rate = Rate(per_second, learns=limits.learns_rate, now=clock())
        self._breaker = Breaker(random=random)
        self._line = Line()
        self._places: dict[str, _Place] = {}
        self._usual = dict.fromkeys(Lane, REQUESTS_AT_FIRST)
        self._counts_requests = False
        self._state, self._since = BreakerState.CLOSED, wall_now()
        self._reason: str | None = None
        self._pause_reason: str | None = None
        self._last_failure: LastFailure | None = None
        #: How many calls of each lane have ended with each result, and how many requests went to the provider.
        self.calls = {(lane, result): 0 for lane in Lane for result in Result}
        self.requests = 0
        self._swept_at = clock()
        self._given: list[str] = []
        self._signals: list[object] = []
        self._on_place: Callable[[str], None] = lambda saga_id: None
        self._on_news: Callable[[], None] = lambda: None

    # ------------------------------------------------------------------ the gate

    def enter(self, saga_id: str, lane: Lane) -> Entry:
        """Ask for a place, or for the one that the saga has. Without one it stands in line, once."""
        with self._lock:
            now = self._clock()
            place = self._places.get(saga_id)
            if place is None and self._is_easy(now):
                self._places[saga_id] = _Place(lane, self._breaker.wave, now, True, 0.0)
                return Entry.PERMIT
            if place is not None and not place.is_taken and self._is_shut:
                self._end(saga_id, place, None, now)
                place = None
            if place is None:
                if self._line or not self._may_pass(now, lane):
                    self._line.put(saga_id, lane)
                    self._give(now)
                else:
                    self._give_one(saga_id, lane, now)
                place = self._places.get(saga_id)
            if place is None:
                return Entry.SHUT if self._is_shut else Entry.LINE
            place.is_taken = True
            return Entry.PERMIT

    def leave(self, saga_id: str, outcome: Outcome | None) -> None:
        """The saga's call is over with `outcome`; None: it does not use its place, or its place in line."""
        with self._lock:
            place = self._places.get(saga_id)
            if place is not None:
                self._end(saga_id, place, outcome, self._clock())
            elif outcome is None:
                self._line.remove(saga_id)
            is_news = bool(self._line or self._signals)
        if is_news:
            self._on_news()

    def attach(self, on_place: Callable[[str], None]) -> None:
        """Call `on_place` on the event loop for each saga in line that gets a place."""
        self._on_place = on_place

    # ------------------------------------------------------------------ the requests

    def note_request(self) -> None:
        """A request goes to the provider now. It counts for the place of the present call's saga."""
        saga_id = caller.get()
        with self._lock:
            self._counts_requests = True
            self.requests += 1
            self._rate.note(self._clock())
            place = None if saga_id is None else self._places.get(saga_id)
            if place is not None:
                place.made += 1
            if place is None or place.made > place.reserved:
                self._rate.take(1.0)

    # ------------------------------------------------------------------ what others decide

    def set_replicas(self, number: int) -> None:
        """So many processes share the limits from now on."""
        with self._lock:
            self._places_max, per_second = self._limits.share(max(1, number))
            self._rate.set_ceiling(per_second)

    def set_paused(self, reason: str | None) -> None:
        """Send nothing, for this reason; None: send again, a few at first. Said again, it changes nothing."""
        with self._lock:
            if reason == self._pause_reason:
                return
            if reason is not None:
                self._pause_reason = reason
                self._breaker.pause()
            else:
                self._breaker.resume()
                self._pause_reason = None
            self._note_turn()
        self._on_news()

    # ------------------------------------------------------------------ time

    def ring(self, on_news: Callable[[], None]) -> None:
        """Call `on_news`, from any thread, when `look` should be called soon."""
        self._on_news = on_news

    def look(self) -> None:
        """On the event loop: give free places to those in line, and tell of what has happened."""
        with self._lock:
            now = self._clock()
            self._breaker.look(now)
            self._note_turn()
            self._take_back(now)
            self._give(now)
            # A saga that has asked again since has taken its place, and hears of nothing.
            given = [saga_id for saga_id in self._given if self._is_untaken(saga_id)]
            self._given.clear()
            signals, self._signals = self._signals, []
        for signal in signals:
            self._telemetry.emit(signal)
        for saga_id in given:
            self._on_place(saga_id)

    def pause_seconds(self) -> float:
        """How long `look` may wait if nothing rings."""
        with self._lock:
            if self._given or self._signals:
                return 0.0
            now = self._clock()
            probe = self._breaker.seconds_until_probe(now)
            if probe is not None:
                return min(probe, LOOK_SECONDS_MAX)
            lane = self._line.next_lane()
            if lane is None or self._is_shut or not self._has_room:
                return LOOK_SECONDS_MAX
            return min(self._rate.seconds_until(now, self._usual[lane]), LOOK_SECONDS_MAX)

    # ------------------------------------------------------------------ what others see

    @property
    def unavailable_seconds(self) -> int | None:
        """None while calls are sent, also a few; else after how many seconds it is worth to ask again."""
        with self._lock:
            now = self._clock()
            self._breaker.look(now)
            match self._breaker.state:
                case BreakerState.PAUSED:
                    return PAUSED_RETRY_SECONDS
                case BreakerState.OPEN:
                    return max(1, math.ceil(self._breaker.seconds_until_probe(now) or 0.0))
                case _:
                    return None

    @property
    def standing(self) -> GuardStanding:
        """The guard as it stands."""
        with self._lock:
            return GuardStanding(
                state=self._state,
                since=self._since,
                reason=self._pause_reason if self._state is BreakerState.PAUSED else self._reason,
                places=len(self._places),
                places_max=self._places_max,
                waiting={lane: self._line.waiting(lane) for lane in Lane},
                per_second=self._rate.per_second,
                last_failure=self._last_failure,
            )

    # ------------------------------------------------------------------ within, under the lock

    @property
    def _is_shut(self) -> bool:
        return self._breaker.state.is_shut

    @property
    def _has_room(self) -> bool:
        room = self._breaker.room
        return len(self._places) < self._places_max and (room is None or room > 0)

    def _is_untaken(self, saga_id: str) -> bool:
        place = self._places.get(saga_id)
        return place is not None and not place.is_taken

    def _is_easy(self, now: float) -> bool:
        """Whether there is nothing to weigh: no line, no limit of the rate, a free place. By far the most frequent."""
        return (
            len(self._places) < self._places_max
            and not self._line
            and self._breaker.is_calm
            and self._rate.is_free(now)
        )

    def _may_pass(self, now: float, lane: Lane) -> bool:
        self._breaker.look(now)
        if self._is_shut or not self._has_room:
            return False
        if self._rate.seconds_until(now, self._usual[lane]) == 0.0:
            return True
        self._rate.rise(now)
        return False

    def _give(self, now: float) -> None:
        """Give places to the first in line, as long as there are any."""
        while (lane := self._line.next_lane()) is not None and self._may_pass(now, lane):
            saga_id = self._line.take(lane)
            self._give_one(saga_id, lane, now)
            self._given.append(saga_id)

    def _give_one(self, saga_id: str, lane: Lane, now: float) -> None:
        reserved = self._usual[lane]
        self._rate.take(reserved)
        self._places[saga_id] = _Place(lane, self._breaker.enter(), now, is_taken=False, reserved=reserved)

    def _end(self, saga_id: str, place: _Place, outcome: Outcome | None, now: float) -> None:
        del self._places[saga_id]
        result = result_of(outcome)
        self._correct(place, result)
        if isinstance(outcome, NotSent) and result is Result.BUSY:
            self._rate.refused(now, outcome.after_seconds)
        elif result is Result.WELL:
            self._rate.served(place.since)
        if result is Result.FAILED and isinstance(outcome, NotSent | Unknown | Refused):
            self._last_failure = LastFailure(outcome.code, outcome.message, wall_now())
        self._breaker.leave(saga_id, place.wave, result, now, is_last=not self._line)
        self._note_turn()
        self.calls[place.lane, result] += 1

    def _correct(self, place: _Place, result: Result) -> None:
        """Give back what was reserved and not made, and measure what this lane usually makes."""
        if result is Result.UNUSED:
            self._rate.take(place.made - place.reserved if place.made < place.reserved else 0.0)
        elif self._counts_requests:
            self._rate.take(min(0.0, place.made - place.reserved))
            usual = self._usual[place.lane]
            made = min(max(1.0, float(place.made)), REQUESTS_MAX)
            self._usual[place.lane] = usual + (made - usual) * _NEWEST_WEIGHS

    def _take_back(self, now: float) -> None:
        """Take back places that nobody took, and those whose call was never heard of again."""
        if now - self._swept_at < LOOK_SECONDS_MAX:
            return
        self._swept_at = now
        for saga_id, place in list(self._places.items()):
            seconds_max = PLACE_SECONDS_MAX if place.is_taken else UNTAKEN_SECONDS_MAX
            if now - place.since >= seconds_max:
                self._end(saga_id, place, None, now)

    def _note_turn(self) -> None:
        state = self._breaker.state
        if state is self._state:
            return
        before, self._state, self._since = self._state, state, wall_now()
        failure = self._last_failure
        match state:
            case BreakerState.PAUSED:
                self._reason = self._pause_reason
            case BreakerState.OPEN:
                self._reason = None if failure is None else f"{failure.code}: {failure.message}"
            case BreakerState.CLOSED:
                self._reason = None
            case BreakerState.HALF_OPEN if before is BreakerState.PAUSED:
                # Nothing has failed, and what the operator said is over.
                self._reason = None
            case BreakerState.HALF_OPEN:
                pass
        self._signals.append(BreakerTurned(self.provider, before, state, self._reason, len(self._line)))
