"""One replica's engine in a process of its own: `python -m bench.postgresql.replica URL FIRST`."""

from __future__ import annotations

import sys

import uvloop

from app.main import spare_the_collector
from bench.postgresql.booking import MEMBERS
from bench.postgresql.contestants import Round, take_turns
from bench.world import bench_over


async def main() -> None:
    """Book when told to. `FIRST`: where in the timetable its buyers begin, so that two replicas' are not alike."""
    url, first = sys.argv[1], int(sys.argv[2])
    async with bench_over(url) as bench:
        bench.flight_ids = bench.flight_ids[first:] + bench.flight_ids[:first]
        bench.members = MEMBERS
        spare_the_collector()
        booked = first

        async def run(round_: Round) -> dict[str, float]:
            nonlocal booked
            rate = await bench.run(round_.bookings, round_.in_flight, first=booked)
            booked += round_.bookings
            return {"rate": rate}

        await take_turns(run)


if __name__ == "__main__":
    uvloop.run(main())
