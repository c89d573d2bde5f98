"""A sweep that one bad row cannot stop: a failed batch runs again in halves, until the bad row stands alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domain.errors import PassedOverError
from domain.storage.outages import is_unavailable

__all__ = ["Sweep"]

T = TypeVar("T")


class Sweep:
    """One run of a sweep over rows of one `kind` ("saga", "job run"), with the rows that it passed over.

    `done` counts the finished rows; `faults` has the reason for each ID that failed alone.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.done = 0
        self.faults: dict[str, str] = {}

    async def batch(self, ids: Sequence[str], work: Callable[[Sequence[str]], Awaitable[T]]) -> list[T]:
        """The results of `work`, a transaction, over `ids`, or over parts of them if it fails.

        A failed transaction runs again in halves, until the failing IDs stand alone; these are passed
        over. Raises if the database did not answer, as the halves would fail too.
        """
        if not ids:
            return []
        try:
            return [await work(ids)]
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(ids) == 1:
                self.faults[ids[0]] = _reason(error)
                return []
        half = len(ids) // 2
        return await self.batch(ids[:half], work) + await self.batch(ids[half:], work)

    async def part(self, name: str, sweep: Callable[[], Awaitable[int]]) -> None:
        """Run another sweep as a part of this one; if it fails as a whole, it is passed over under its `name`."""
        try:
            self.done += await sweep()
        except PassedOverError as fault:
            self.done += fault.done
            self.faults |= fault.faults
        except Exception as error:
            if is_unavailable(error):
                raise
            self.faults[name] = _reason(error)

    def end(self) -> int:
        """How many rows were done. Raises PassedOverError, with the same number, if any were passed over."""
        if self.faults:
            raise PassedOverError(self._kind, self.done, self.faults)
        return self.done


def _reason(error: Exception) -> str:
    # The lines below the first are the statement and a link.
    return f"{type(error).__name__}: {error}".partition("\n")[0]
