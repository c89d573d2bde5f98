"""The limits of a guard, as they are set."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GuardLimits"]


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """How many calls at once, and how many requests a second; `per_second` None: no limit is set.

    `is_shared`: the limits are those of all replicas together, and each takes its share. `learns_rate`: the provider
    has a limit that is not known, so the guard begins slowly and learns it from the provider's refusals.
    """

    calls_max: int
    per_second: float | None = None
    is_shared: bool = True
    learns_rate: bool = False

    def share(self, replicas: int) -> tuple[int, float | None]:
        """One replica's limits if so many live: at least one call at once."""
        if not self.is_shared or replicas <= 1:
            return self.calls_max, self.per_second
        per_second = None if self.per_second is None else self.per_second / replicas
        return max(1, self.calls_max // replicas), per_second
