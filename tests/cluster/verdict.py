"""What must be so once a fault is over and everything has come to its end, whatever the fault was."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from cluster.replicas import environment
from tests.cluster.load import Load

__all__ = ["Evidence", "judge"]

DOCTOR_SECONDS_MAX: Final = 60.0
_SAGAS: Final = "SELECT correlation_id, status, failure_code, sequence FROM sagas"
_SEATS_WITH_TWO_OWNERS: Final = """SELECT flight_id, seat, count(*) FROM seat_reservations
    WHERE status IN ('HELD', 'CONFIRMED') GROUP BY flight_id, seat HAVING count(*) > 1"""
_CAPTURED_TWICE: Final = "SELECT reference, captures FROM sandbox.entries WHERE captures > 1 OR authorizations > 1"
_CHARGED_FOR_NOTHING: Final = """SELECT sagas.correlation_id, entries.state FROM sagas
    JOIN payments ON payments.saga_id = sagas.id JOIN sandbox.entries ON entries.reference = payments.reference
    WHERE sagas.status = 'COMPENSATED' AND entries.state IN ('AUTHORIZED', 'CAPTURED')"""


@dataclass(frozen=True)
class Evidence:
    """Where to look: the database, a folder for the doctor, servers' logs from a byte on, replicas' outputs, load."""

    url: str
    folder: Path
    logs: Mapping[Path, int]
    outputs: Sequence[Path]
    load: Load


async def judge(evidence: Evidence) -> None:
    """Fail with what is not as it should be; the seed with which the load was drawn stands beside it."""
    problems = await _of_the_database(evidence) + await _of_the_doctor(evidence)
    problems += _of_the_logs(evidence) + _of_the_outputs(evidence)
    assert not problems, "\n".join([f"seed {evidence.load.seed!r}", *problems])


async def _of_the_database(evidence: Evidence) -> list[str]:
    connection = await asyncpg.connect(evidence.url.replace("+asyncpg", "", 1))
    try:
        sagas = {str(row["correlation_id"]): row for row in await connection.fetch(_SAGAS)}
        problems = [f"two owners: {row}" for row in await connection.fetch(_SEATS_WITH_TWO_OWNERS)]
        problems += [f"charged twice: {row}" for row in await connection.fetch(_CAPTURED_TWICE)]
        problems += [f"charged for nothing: {row}" for row in await connection.fetch(_CHARGED_FOR_NOTHING)]
    finally:
        await connection.close()
    for order in evidence.load.orders:
        saga = sagas.pop(order.correlation_id, None)
        if saga is None:
            problems.append(f"{order}: it is lost")
        elif saga["status"] == "STUCK" and not order.kind.gets_stuck:
            problems.append(f"{order}: it is STUCK, {saga}")
        elif saga["status"] not in ("COMPLETED", "COMPENSATED", "STUCK") or not (
            saga["status"] == "COMPLETED" or saga["failure_code"]
        ):
            problems.append(f"{order}: it has no end, or no cause: {saga}")
        elif saga["status"] == "COMPLETED" and not order.kind.may_complete:
            problems.append(f"{order}: it was to fail, and is COMPLETED")
        elif saga["status"] != "STUCK" and order.seen != saga["sequence"]:
            problems.append(f"{order}: its newest event is {saga['sequence']}")
    problems += [f"nobody asked for {saga}" for saga in sagas.values()]
    counts = Counter(order.last for order in evidence.load.orders)
    if not counts["SAGA_COMPLETED"] or not counts["SAGA_COMPENSATED"]:
        problems.append(f"the load was none: {counts}")
    return problems


async def _of_the_doctor(evidence: Evidence) -> list[str]:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", "doctor"],
        env=environment(evidence.folder, evidence.url),
        cwd=evidence.folder,
        capture_output=True,
        text=True,
        timeout=DOCTOR_SECONDS_MAX,
        check=False,
    )
    return [] if done.returncode == 0 else [f"doctor:\n{done.stdout}{done.stderr}"]


def _of_the_logs(evidence: Evidence) -> list[str]:
    problems = []
    for path, begin in evidence.logs.items():
        lines = path.read_bytes()[begin:].decode(errors="replace").splitlines()
        problems += [line for line in lines if " 40P01 " in line or "deadlock detected" in line]
    return problems


def _of_the_outputs(evidence: Evidence) -> list[str]:
    """Whatever the database or a replica does, no turn takes it for a fault of its sagas."""
    lines = [line for path in evidence.outputs for line in path.read_text(errors="replace").splitlines()]
    return [line for line in lines if " ERROR saga " in line and "logger=seatsaga.executor" in line]
