"""Every test of storage, engine and bookings has a database of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from sqlalchemy.engine import URL, make_url

from app.migrations import upgrade
from cluster.pgbouncer import PgBouncer, pgbouncer
from cluster.postgres import PostgresServer
from domain.clock import ManualClock
from domain.storage import Database, Server
from sandbox import PostgresBooks
from tests.support import compiled
from tests.support.databases import Pool, administer, as_text, changed_copy
from tests.support.required import require

__all__ = ["administer", "as_text", "on_a_thread"]

T = TypeVar("T")
_TEMPLATE = "seatsaga_template"
_IN_MEMORY = Path("/dev/shm")
#: A run of all tests needs up to 1 GiB for its databases and servers.
_IN_MEMORY_BYTES_MIN = 4 * 1024**3
#: Where few tests take long, the longest first: begun last, they would leave the other workers idle at the end.
_LONGEST = (
    "tests/faults/test_crash_matrix.py::TestOnPostgresql",
    "tests/browser/test_night.py",
    "tests/properties/",
    "tests/walks/",
    "tests/faults/",
    "tests/browser/",
    "tests/app/test_copying.py",
    "tests/cluster/",
    "tests/rolling/",
    "tests/proxies/",
    "tests/clients/",
    "tests/fuzz/",
)


def pytest_configure() -> None:
    """Compile each statement once a worker, load one authority, and keep temporary files in memory.

    No test needs a disk. Not in memory if there is no room, or TMPDIR names another place.
    """
    compiled.share()
    # Loading all authorities takes each HTTP client 20 ms, and no test asks a server beyond this machine.
    os.environ.setdefault("SSL_CERT_FILE", str(Path(__file__).parent / "support" / "authority.pem"))
    if "TMPDIR" not in os.environ and _has_room_in_memory():
        os.environ["TMPDIR"] = tempfile.tempdir = str(_IN_MEMORY)
    # anyio imports its parts at their first use, and pytest rewrites them: within a request CPython 3.11 at times fails
    # to parse a module ("AST constructor recursion depth mismatch").
    assert callable(anyio.open_file)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt the modules and the collected tests from garbage collection: they stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest."""

    def place(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(_LONGEST) if item.nodeid.startswith(name)), len(_LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[URL]:
    """A maintenance URL of a PostgreSQL server: the wheel's, or the one that SEATSAGA_TEST_POSTGRES_URL names."""
    given = os.environ.get("SEATSAGA_TEST_POSTGRES_URL")
    if given:
        yield make_url(given)
        return
    # Fresh tables have no statistics, and plans are those of fresh tables: nothing may come and gather some.
    with PostgresServer(settings=["autovacuum=off"]) as server:
        yield make_url(server.url)


@pytest.fixture(scope="module")
def pooler(postgres_url: URL) -> Iterator[PgBouncer]:
    """Before the tests' server. Without PgBouncer such tests are passed over; where CI asks for it, never."""
    found = pgbouncer()
    require("PGBOUNCER", None if found else "PgBouncer is not installed; get it with: apt-get install pgbouncer")
    with PgBouncer(postgres_url) as pooler:
        yield pooler


@pytest.fixture(scope="session")
def postgres_template(postgres_url: URL) -> str:
    """The name of a migrated, empty database that tests' own ones are copied from."""
    name = f"{_TEMPLATE}_{uuid.uuid4().hex[:8]}"
    on_a_thread(administer(postgres_url, f'CREATE DATABASE "{name}"'))
    on_a_thread(upgrade(as_text(postgres_url.set(database=name))))
    return name


@pytest.fixture(scope="session")
def postgres_pool(postgres_url: URL, postgres_template: str) -> Iterator[Pool]:
    """Where `database_url` gets its PostgreSQL databases; a folder of tests may name another one."""
    pool = Pool(postgres_url, postgres_template)
    yield pool
    on_a_thread(pool.close())


@pytest.fixture(scope="session")
def sandbox_pool(postgres_url: URL, postgres_template: str) -> Iterator[Pool]:
    """As `postgres_pool`, of databases in which a sandbox has already made its schema."""
    pool = Pool(postgres_url, on_a_thread(changed_copy(postgres_url, postgres_template, _open_books)))
    yield pool
    on_a_thread(pool.close())


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file that tests' own ones are copied from."""
    path = tmp_path_factory.mktemp("template") / "seatsaga.db"
    on_a_thread(upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    """Which of the two databases this run of the test uses."""
    name: str = request.param
    return name


@pytest.fixture
async def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database, gone after the test."""
    if backend == "sqlite":
        path = tmp_path / "seatsaga.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    pool: Pool = request.getfixturevalue("postgres_pool")
    url = await pool.take()
    yield as_text(url)
    await pool.give_back(url)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of `database`, which the test may advance."""
    return ManualClock()


@pytest.fixture
async def database(database_url: str, clock: ManualClock) -> AsyncIterator[Database]:
    """A fresh, migrated database under the test's clock."""
    database = Database(database_url, clock=clock)
    yield database
    await database.close()


def _has_room_in_memory() -> bool:
    # PostgreSQL runs from there, so its programs must be executable.
    try:
        found = os.statvfs(_IN_MEMORY)
    except OSError:
        return False
    return (
        os.access(_IN_MEMORY, os.W_OK)
        and not found.f_flag & getattr(os, "ST_NOEXEC", 0)
        and found.f_bavail * found.f_frsize >= _IN_MEMORY_BYTES_MIN
    )


async def _open_books(url: URL) -> None:
    books = PostgresBooks(Server(url))
    await books.open()
    await books.close()


def on_a_thread(work: Coroutine[Any, Any, T]) -> T:
    """What it returns, run on a thread of its own: a session's fixture may be made while a test's loop runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
