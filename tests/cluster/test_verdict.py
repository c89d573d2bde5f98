"""The verdict sees what is not as it should be: planted here, after a load that nothing disturbed."""

from __future__ import annotations

import uuid

import pytest

from tests.cluster.load import KINDS, Order
from tests.cluster.stage import Stage
from tests.cluster.verdict import Evidence, judge

_PLANTED = {
    "charged twice": "UPDATE sandbox.entries SET captures = 2 WHERE reference ="
    " (SELECT reference FROM sandbox.entries WHERE state = 'CAPTURED' LIMIT 1)",
    "charged for nothing": "UPDATE sandbox.entries SET state = 'AUTHORIZED' WHERE reference ="
    " (SELECT payments.reference FROM payments JOIN sagas ON sagas.id = payments.saga_id"
    " JOIN sandbox.entries USING (reference) WHERE sagas.status = 'COMPENSATED' LIMIT 1)",
    "its newest event is": "UPDATE sagas SET sequence = sequence + 1 WHERE id ="
    " (SELECT id FROM sagas WHERE status = 'COMPLETED' LIMIT 1)",
}


async def test_what_is_wrong_is_named(stage: Stage) -> None:
    async with stage.under_load() as load:
        pass
    for statement in _PLANTED.values():
        await stage.ask(statement)
    lost = Order(KINDS[0], str(uuid.uuid4()), witness=0)
    load.orders.append(lost)
    log = stage.folder / "log"
    log.write_text("2026-11-26 10:00:00.000 UTC [1] 40P01 ERROR:  deadlock detected\n")
    output = stage.folder / "output"
    output.write_text("2026-11-26T10:00:00.000Z [LOG] ERROR saga 01a22bb2: fault 01a22bb3 logger=seatsaga.executor\n")
    evidence = Evidence(stage.url, stage.folder, {log: 0}, [output], load)
    with pytest.raises(AssertionError) as found:
        await judge(evidence)
    said = str(found.value)
    others = (f"{lost}: it is lost", "doctor:", "deadlock detected", "fault 01a22bb3", f"seed {load.seed!r}")
    for part in (*_PLANTED, *others):
        assert part in said
