"""The guard of a payment provider: how many calls at once, how fast, and whether at all. It knows no provider.

::

    engine ──enter(saga, lane)──▶ PERMIT: a place, and the call leaves          ┌── calls at once   (limits)
       ▲                          LINE, SHUT: in line, by lane: undo, confirm,  ├── requests a second (rate)
       │                                begin; none starves (line)       ◀──────┤
       ├──leave(saga, outcome)──▶ the place is free; rate and breaker learn     └── breaker: CLOSED, OPEN,
       └◀─on_place(saga)───────── the first in line has a place                      HALF_OPEN, PAUSED

A call that has not left is no attempt: the guard is asked before anything of the attempt is written, so a saga in
line costs its row and an entry here. Nothing waits within a call, hence not in the HTTP client either: a place
reserves the requests that its lane usually makes, and what it makes beyond them is a debt that later places wait
for. What the guard knows is in memory only, except an operator's pause (`controls`): after a crash every saga in
line is simply due, and asks again.

Each replica guards its own calls, with its share of the limits; so their sum stays below what is set. Each has its
own breaker, as the way to the provider may be broken for one of them alone. A pause is for all.

Libraries that were looked at, and why none is used:

- aiolimiter, asynciolimiter, pyrate-limiter, throttled-py, limits: a caller waits in `acquire`, or asks again. They
  have no lines with precedence, no cost that is known only afterwards, and no rate that follows Retry-After.
- aiobreaker, pybreaker, purgatory, circuitbreaker, lasier: count exceptions in a row around one awaited call, and
  close after one success. A call here begins in one transaction and ends in another, a failure is a value, and
  what has waited must come back in waves.
- fluxgate: opens by share, and lets more and more through while half open; but it, too, wraps an awaited call, and
  decides by chance who passes, so it cannot say whose turn it is.
- hyx: as the first and the second; no release for years.
"""

from domain.guard.breaker import PROVIDER_BUSY, BreakerState, Result
from domain.guard.controls import InvalidReason, Pause, ProviderControls
from domain.guard.guard import BreakerTurned, Guard, GuardStanding, LastFailure
from domain.guard.limits import GuardLimits
from domain.guard.watch import GuardWatch

__all__ = [
    "PROVIDER_BUSY",
    "BreakerState",
    "BreakerTurned",
    "Guard",
    "GuardLimits",
    "GuardStanding",
    "GuardWatch",
    "InvalidReason",
    "LastFailure",
    "Pause",
    "ProviderControls",
    "Result",
]
