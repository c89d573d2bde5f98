"""Commands as an ordinary user runs them, also where the tests are run by root."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.children import seatsaga_anew

__all__ = ["run_unprivileged"]

_CAPBSET_DROP: Final = 24
#: To pass over modes, to change others' files, to listen on low ports.
_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER, _NET_BIND_SERVICE = 1, 2, 3, 10


def run_unprivileged(*arguments: str, env: Mapping[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `seatsaga` with these arguments to its end, with no more rights than its user's id gives."""
    first = _give_up_rights if os.geteuid() == 0 else None
    return seatsaga_anew(*arguments, env=env, folder=folder, first=first)


def _give_up_rights() -> None:
    # A root that keeps its id reads its own Python; another user may not reach it.
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER, _NET_BIND_SERVICE):
        if libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
