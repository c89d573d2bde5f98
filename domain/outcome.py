"""What an attempt came to. Control flow runs on these values; exceptions are for faults.

Three outcomes, and the third is the one that matters: *unknown* is not failed. A refused
attempt is proven to have had no effect; an unknown one may have had it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain.facts import Facts

__all__ = ["Busy", "Outcome", "Refused", "Succeeded", "Unknown"]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect took place. `data` goes on to settle.

    `facts` say what it was. A step whose effect fits none of their types says it in `summary`, for a person.
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

    `passing` means that trying again may help. `key_spent` says that the refusal is proven for
    everything ever sent under this idempotency key, and that the provider would only repeat it:
    the next attempt needs a new round. `facts`: what is known of it beyond its code.
    """

    code: str
    message: str
    passing: bool = False
    key_spent: bool = False
    facts: Facts | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer was lost (timeout, crash, 5xx): the effect may have taken place."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Busy:
    """Another transaction has a row that this needs: nothing was done, it was no attempt, and it is run again soon."""


Outcome = Succeeded | Refused | Unknown
