"""Walks as far as asked for: `python -m tests.model TROUBLES INTERRUPTIONS [WORDS [FLAW [GUARANTEE]]]`."""

from __future__ import annotations

import sys

from tests.model.flaws import Flaw
from tests.model.guarantees import Guarantee
from tests.model.protocol import Protocol, walk_protocol


def main(troubles: str = "1", interruptions: str = "1", words: str = "0", flaw: str = "", guarantee: str = "") -> int:
    """Print what was walked, and the shortest trace to a broken promise where there is one; that is exit code 1."""
    protocol = Protocol(Flaw(flaw) if flaw else None, int(troubles), int(interruptions), int(words))
    walked = walk_protocol(protocol, Guarantee[guarantee] if guarantee else None)
    print(f"{len(walked.states):,} states, {walked.moves:,} moves, depth {walked.depth}")
    if walked.trace is None:
        return 0
    print(walked.trace)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
