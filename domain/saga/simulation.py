"""Fault injection by name, generic in the engine: it knows no feature, so it can hit every step."""

from __future__ import annotations

import msgspec

__all__ = ["Simulation"]


class Simulation(msgspec.Struct, omit_defaults=True, frozen=True):
    """What is to go wrong, and how slowly all goes.

    `fail_at`: each named step fails for good when it is reached. `fail_compensation_at`: each
    named compensation keeps failing until an operator retries or skips it. `lose_answer_at`:
    each named step's first successful call loses its answer. `delay_ms`: pause before every
    step and compensation.
    """

    fail_at: tuple[str, ...] = ()
    fail_compensation_at: tuple[str, ...] = ()
    lose_answer_at: tuple[str, ...] = ()
    delay_ms: int = 0

    def lifted(self, name: str) -> Simulation:
        """The same without making `name` fail any more."""
        return msgspec.structs.replace(
            self,
            fail_at=tuple(step for step in self.fail_at if step != name),
            fail_compensation_at=tuple(step for step in self.fail_compensation_at if step != name),
        )
