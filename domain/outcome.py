"""What an attempt came to. Control flow runs on these values; exceptions are for faults.

Three outcomes, and the third is the one that matters: *unknown* is not failed. A refused
attempt is proven to have had no effect; an unknown one may have had it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Outcome", "Refused", "Succeeded", "Unknown"]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect took place. `summary` is one line for a person; `data` goes on to settle."""

    summary: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Proven without effect: declined, sold out.

    `passing` means that trying again may help. `key_spent` says that the refusal is proven for
    everything ever sent under this idempotency key, and that the provider would only repeat it:
    the next attempt needs a new round.
    """

    code: str
    message: str
    passing: bool = False
    key_spent: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """The answer was lost (timeout, crash, 5xx): the effect may have taken place."""

    code: str
    message: str


Outcome = Succeeded | Refused | Unknown
