"""Walks as far as asked for: `python -m tests.model TROUBLES INTERRUPTIONS [CARDS [FLAW [GUARANTEE]]] [gate] [away]`"""

from __future__ import annotations

import sys

from tests.model.flaws import Flaw
from tests.model.guarantees import Guarantee
from tests.model.protocol import Protocol, walk_protocol


def main(
    troubles: str = "1",
    interruptions: str = "1",
    words: str = "0",
    flaw: str = "",
    guarantee: str = "",
    *,
    has_gate: bool = False,
    goes_away: bool = False,
) -> int:
    """Print what was walked, and the shortest trace to a broken promise where there is one; that is exit code 1."""
    broken = Flaw(flaw) if flaw else None
    protocol = Protocol(broken, int(troubles), int(interruptions), int(words), has_gate, goes_away)
    walked = walk_protocol(protocol, Guarantee[guarantee] if guarantee else None)
    print(f"{len(walked.states):,} states, {walked.moves:,} moves, depth {walked.depth}")
    if walked.trace is None:
        return 0
    print(walked.trace)
    return 1


if __name__ == "__main__":
    options = {"gate", "away"}
    given = [word for word in sys.argv[1:] if word not in options]
    sys.exit(main(*given, has_gate="gate" in sys.argv, goes_away="away" in sys.argv))
