"""The answer to a start's COMMIT is lost: whether it took effect is found out, and the caller hears nothing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from cluster.proxy import proxy_to
from domain.saga import CommitPoint, CommitPoints, SagaStatus, SagaView
from domain.storage import Database
from tests.domain.bookings.world import world_of


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_a_booking_whose_commit_has_no_answer_is_looked_up_and_goes_on(database_url: str, tmp_path: Path) -> None:
    url = make_url(database_url)
    cuts: list[CommitPoint] = []
    async with proxy_to(url.port or 5432) as network:

        def cut_once(point: CommitPoint, names: tuple[str, ...]) -> None:
            if point is CommitPoint.START_BEFORE_COMMIT and not cuts:
                cuts.append(point)
                network.reset()
                network.heal()

        database = Database(url.set(host="127.0.0.1", port=network.port))
        async with world_of(database, tmp_path, points=CommitPoints(cut_once)) as world:
            request = world.request()
            saga = await world.bookings.book(request)
            assert isinstance(saga, SagaView)
            assert saga.correlation_id == request.correlation_id
            assert cuts
            assert (await world.ended(saga)).status is SagaStatus.COMPLETED
            assert await world.sagas_count() == 1
        await database.close()
