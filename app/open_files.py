"""So many open files as there may be connections: a system's default is often 1,024, and its maximum much more."""

from __future__ import annotations

import logging
import resource
from typing import Final

__all__ = ["allow_open_files"]

#: Besides connections: databases, logs, listeners.
FILES_BESIDES: Final = 1_024
#: Where the system sets none, as a process can have no more by default (fs.nr_open).
FILES_MAX: Final = 1_048_576
_logger = logging.getLogger("seatsaga")


def allow_open_files(connections_max: int) -> int:
    """Let this process open enough files to have so many connections at once; how many it may open now.

    What the system does not allow is said in the log: connections beyond it are closed at once.
    """
    wanted = min(connections_max + FILES_BESIDES, FILES_MAX)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted if soft == resource.RLIM_INFINITY else soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _logger.warning(
            "This process may open %d files, and %d would be needed for %d connections at once: raise the limit of"
            " open files (ulimit -Hn, LimitNOFILE), or lower SEATSAGA_REQUESTS_ACTIVE_MAX.",
            allowed,
            wanted,
            connections_max,
        )
    return allowed
