"""Commands as an ordinary user runs them, also where the tests are run by root."""

from __future__ import annotations

import ctypes
import os
from typing import Final

__all__ = ["give_up_rights"]

_CAPBSET_DROP: Final = 24
_VERSION_3: Final = 0x20080522
#: To pass over modes, to change others' files, to listen on low ports.
_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER, _NET_BIND_SERVICE = 1, 2, 3, 10
_GIVEN_UP: Final = (_DAC_OVERRIDE, _DAC_READ_SEARCH, _FOWNER, _NET_BIND_SERVICE)


def give_up_rights() -> None:
    """Leave this process, and those that it starts, no more rights than its user's id gives."""
    if os.geteuid() != 0:
        return
    # A root that keeps its id reads its own Python; another user may not reach it.
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    # Effective, permitted and inheritable; twice, as each holds 32 of them.
    sets = (ctypes.c_uint32 * 6)()
    _require(libc.capget(header, sets))
    for capability in _GIVEN_UP:
        _require(libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0))
        for which in range(3):
            sets[which] &= ~(1 << capability)
    _require(libc.capset(header, sets))


def _require(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
