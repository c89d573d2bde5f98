"""A child's own wall clock, which a test moves while the child runs; its monotonic clock goes on as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.support.required import require

__all__ = ["SLEEP", "FakeClock", "library"]

_ROOT: Final = Path(__file__).parents[2]
#: libfaketime refuses a sleep until a moment of the monotonic clock, by which Python sleeps.
SLEEP: Final = "import select, time\ntime.sleep = lambda seconds: select.select((), (), (), seconds)\n"

#: The variant for programs with threads.
_LIBRARIES: Final = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib/faketime/libfaketimeMT.so.1")


def library() -> Path | None:
    """Where libfaketime is, if it is installed."""
    return next((path for pattern in _LIBRARIES for path in Path("/").glob(pattern)), None)


class FakeClock:
    """The wall clock of every process that is started with `environment`. Passed over where libfaketime is missing."""

    def __init__(self, folder: Path) -> None:
        found = library()
        require("FAKETIME", None if found else "libfaketime is not installed; get it with: apt-get install faketime")
        self._file = folder / "clock"
        patch = folder / "faketime"
        patch.mkdir()
        (patch / "sitecustomize.py").write_text(SLEEP)
        self.step(0)
        self.environment = {
            "LD_PRELOAD": str(found),
            "PYTHONPATH": f"{patch}:{_ROOT}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # What it takes for a fault of glibc made each wait for Python's lock end at once: threads spun.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        """From now on the clock differs by so much from the machine's."""
        begun = self._file.with_suffix(".new")
        begun.write_text(f"{seconds:+d}\n")
        begun.replace(self._file)
