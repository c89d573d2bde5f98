"""The customer's day of clients/day.py, in each Python family, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from clients.day import FAMILIES
from tests.clients.snippets import ROOT
from tests.clients.tokens import customer, token
from tests.support.children import Child

ACTS = ["search", "hold", "follow", "pay", "lose and come back", "booked", "cancel"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_customers_day_is_as_it_should_be_in_each_family(server: Child) -> None:
    def live(family: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "clients.day", family, server.url, token(customer())]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    days = await asyncio.gather(*(asyncio.to_thread(live, family) for family in FAMILIES))

    for family, ended in zip(FAMILIES, days, strict=True):
        assert ended.returncode == 0, f"{family}: {ended.stderr}"
        assert [json.loads(line)["act"] for line in ended.stdout.splitlines()] == ACTS, family
