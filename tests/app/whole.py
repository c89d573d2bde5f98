"""The whole application as it is served, in the test's own loop, over a small timetable."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from starlette.applications import Starlette

from app.bootstrap import Backend
from app.main import create_app
from app.settings import load_settings
from domain import flights, loyalty, seats
from domain.clock import wall_now
from domain.storage import Database
from tests.domain.bookings.world import departures
from tests.support.serving import Served, serving

__all__ = ["ADMIN_TOKEN", "Whole", "fill", "whole"]

ADMIN_TOKEN: Final = "a token for operators"


@dataclass(frozen=True)
class Whole:
    """The application, where it is served, and a client of it."""

    app: Starlette
    served: Served
    http: httpx.AsyncClient


async def fill(url: str) -> None:
    """A few flights and the members, so that a server does not fill the database with its whole demo timetable."""
    database = Database(url)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    await database.close()


@asynccontextmanager
async def whole(template: Path, folder: Path, **settings: Any) -> AsyncIterator[Whole]:
    """Serve everything with these settings until the block ends. `template`: a migrated, empty SQLite file."""
    url = f"sqlite+aiosqlite:///{shutil.copy(template, folder / 'seatsaga.db')}"
    await fill(url)
    given = {"database_url": url, "log_dir": folder / "logs", "admin_token": ADMIN_TOKEN} | settings
    loaded = load_settings({}, **given)
    app = create_app(backend=Backend(loaded, console=io.StringIO()))
    is_compressing = loaded.websocket_compression == "on"
    async with (
        serving(app, compresses_sockets=is_compressing) as served,
        httpx.AsyncClient(base_url=served.url) as http,
    ):
        yield Whole(app, served, http)
