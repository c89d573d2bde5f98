"""The outcome of an attempt. Control flow uses these values; exceptions are for faults.

There are four outcomes. *Unknown* is not failed: a refused attempt is proven to have had no
effect; an unknown one may have had its effect. *Not sent* is no attempt at all: the request did not leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.facts import Facts

__all__ = ["Answer", "Busy", "NotSent", "Outcome", "Refused", "Succeeded", "Unknown"]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect took place. `data` is passed to settle.

    `facts` describe the effect. A step uses `summary` (text for a person) if none of the fact types fits.
    """

    summary: str | None = None
    data: Any = None
    facts: Facts | None = None

    @property
    def sentence(self) -> str | None:
        """One line for a person, if there is anything to say."""
        return self.summary if self.facts is None else self.facts.sentence


@dataclass(frozen=True, slots=True)
class Refused:
    """Proven without effect: declined, sold out.

    `passing`: another attempt may help. `key_spent`: the refusal is proven for every request
    under this idempotency key, and the provider would only repeat it; so the next attempt needs
    a new round. `facts`: all that is known of the refusal beyond its code. `keeps_effect`: only this request
    is proven; something that it is about may still come into effect, so the step is undone.
    """

    code: str
    message: str
    passing: bool = False
    key_spent: bool = False
    facts: Facts | None = None
    keeps_effect: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer was lost (timeout, crash, 5xx): the effect may have taken place."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """This request did not leave, or was turned away at the provider's door: a refused connection, a 429, our key.

    Only a call may answer it, and only if it is proven that no request of this call had an effect. The attempt does
    not count and spends no budget but the time of the saga's deadline. An earlier request under the same key whose
    answer was lost may still have had its effect. `after_seconds`: the provider's own word when to come back.
    """

    code: str
    message: str
    after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """Another transaction has locked a row that this one needs: nothing was done, this is no attempt; it runs again."""


Answer = Succeeded | Refused | Unknown
"""The outcome of a call that left, or may have left. It is the only kind that `settle` gets."""
Outcome = Answer | NotSent
