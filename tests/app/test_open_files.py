"""A server raises its number of open files to what it may serve, as far as the system lets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("soft", "hard", "requests_max", "allowed", "is_told"),
    [
        (256, 4_096, 1_000, 2_024, False),
        (256, 512, 1_000, 512, True),
        (3_000, 4_096, 1_000, 3_000, False),
        (256, 4_096, 10**9, 4_096, True),
    ],
)
def test_the_limit_is_raised_never_lowered_and_what_is_missing_is_told(
    soft: int, hard: int, requests_max: int, allowed: int, is_told: bool
) -> None:
    program = f"""
import logging, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
logging.basicConfig()
from app.commands.serve import allow_open_files
print(allow_open_files({requests_max}), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    child = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert child.stdout.split() == [str(allowed), str(allowed), str(hard)]
    assert ("SEATSAGA_REQUESTS_ACTIVE_MAX" in child.stderr) is is_told
