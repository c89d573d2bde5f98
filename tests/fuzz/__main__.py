"""`python -m tests.fuzz --number 20000 [--seed N]`."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.playing import play

SHOWN_MAX = 20


def main() -> None:
    """Play, print, and exit 1 where something was wrong."""
    parser = argparse.ArgumentParser(description="Send what no client would send to a server of its own.")
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    asked = parser.parse_args()
    print(f"seed {asked.seed}, {asked.number:,} inputs", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        verdict = asyncio.run(play(Path(folder), seed=asked.seed, number=asked.number))
    for problem in verdict.problems[:SHOWN_MAX]:
        print(problem)
    print(f"{verdict} ({time.monotonic() - began:.0f} s)")
    sys.exit(bool(verdict.problems))


if __name__ == "__main__":
    main()
