"""This release, and two to come: its sources with the changes of each made to them, as they would be made.

::

    this          at head    BOOK_AND_EARN version 1
    next_release  EXPANDED   version 2 as well, and new bookings begin with it: SCREEN_PASSENGERS, which writes into a
                             column of its migration; replicas write their zone
    last_release  CONTRACTED every replica has a zone: those of `this` can no longer begin a lease
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.migrations import head
from tests.support.children import environment

__all__ = ["CONTRACTED", "EXPANDED", "Release", "last_release", "next_release", "this_release"]

#: Beyond all that there are.
EXPANDED: Final = "9001"
CONTRACTED: Final = "9002"
_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("app", "domain", "schema", "sandbox", "migrations")
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "console")

_EXPANSION: Final = '''"""Who was screened, and where replicas are."""

import sqlalchemy as sa
from alembic import op

revision = "{EXPANDED}"
down_revision = "{head}"
ends = None


def upgrade() -> None:
    op.add_column("passengers", sa.Column("screened_at", sa.BigInteger(), nullable=True))
    op.add_column("replicas", sa.Column("zone", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("replicas", "zone")
    op.drop_column("passengers", "screened_at")
'''
_CONTRACTION: Final = '''"""Every replica says where it is."""

from alembic import op

revision = "{CONTRACTED}"
down_revision = "{EXPANDED}"
ends = "{head}"


def upgrade() -> None:
    op.execute("UPDATE replicas SET zone = 'unknown' WHERE zone IS NULL")
    op.alter_column("replicas", "zone", nullable=False)


def downgrade() -> None:
    op.alter_column("replicas", "zone", nullable=True)
'''
_SCREENING: Final = '''"""SCREEN_PASSENGERS: on the record before anything is paid."""

from sqlalchemy import update

from domain.bookings.tables import passengers
from domain.outcome import Succeeded
from domain.storage import any_of


async def screen(batch):
    statement = update(passengers).where(any_of(passengers.c.saga_id, "ids")).values(screened_at=batch.at)
    await batch.connection.execute(statement, {"ids": batch.saga_ids})
    return [Succeeded(f"{member.context.passengers} screened") for member in batch.members]
'''

#: What stands in a file of this release, and what the next one puts in its place.
_EDITS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "domain/bookings/tables.py": (
        (
            '    Column("date_of_birth", Text),\n',
            '    Column("date_of_birth", Text),\n    Column("screened_at", Micros),\n',
        ),
    ),
    "domain/bookings/definitions.py": (
        (
            '    AUTHORIZE_PAYMENT = "AUTHORIZE_PAYMENT", ',
            '    SCREEN_PASSENGERS = "SCREEN_PASSENGERS", "Screens everyone who flies."\n'
            '    AUTHORIZE_PAYMENT = "AUTHORIZE_PAYMENT", ',
        ),
        (
            "from domain.bookings.steps.seats import SeatSteps\n",
            "from domain.bookings.steps.screening import screen\nfrom domain.bookings.steps.seats import SeatSteps\n",
        ),
        (
            "    return BookingDefinitions(book_and_earn, book_and_redeem, cancel_booking, closing, retired)\n",
            "    first, *others = book_and_earn.steps\n"
            "    steps = (first, Step(StepName.SCREEN_PASSENGERS, Local(screen), None, policy), *others)\n"
            "    second = replace(book_and_earn, version=book_and_earn.version + 1, steps=steps)\n"
            "    retired = (*retired, book_and_earn)\n"
            "    return BookingDefinitions(second, book_and_redeem, cancel_booking, closing, retired)\n",
        ),
    ),
    "domain/saga/tables.py": (
        ('    Column("revision", Text),\n', '    Column("revision", Text),\n    Column("zone", Text),\n'),
    ),
    "domain/saga/replicas.py": (
        (
            "                counted_until=FOREVER,\n            )\n",
            '                counted_until=FOREVER,\n                zone="north",\n            )\n',
        ),
    ),
}


@dataclass(frozen=True)
class Release:
    """One release: `sources` is what its processes import."""

    name: str
    sources: Path

    def environment(self, folder: Path, database_url: str, **settings: str) -> dict[str, str]:
        """The environment of a process of this release."""
        return environment(folder, database_url, **settings) | {"PYTHONPATH": str(self.sources)}


def this_release() -> Release:
    """What is here."""
    return Release("this", _ROOT)


def next_release(folder: Path) -> Release:
    """The one after this, made in `folder`: it expands the schema, and brings version 2 of BOOK_AND_EARN."""
    sources = folder / "next-release"
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, sources / package, ignore=_LEFT_OUT)
    for path, edits in _EDITS.items():
        _edit(sources / path, edits)
    (sources / "domain" / "bookings" / "steps" / "screening.py").write_text(_SCREENING)
    _add_migration(sources, EXPANDED, _EXPANSION)
    return Release("next", sources)


def last_release(folder: Path, before: Release) -> Release:
    """The one after `before`, the next one, made in `folder`: it contracts the schema, and nothing else."""
    sources = folder / "last-release"
    shutil.copytree(before.sources, sources, ignore=_LEFT_OUT)
    _add_migration(sources, CONTRACTED, _CONTRACTION)
    return Release("last", sources)


def _edit(path: Path, edits: tuple[tuple[str, str], ...]) -> None:
    text = path.read_text()
    for there, instead in edits:
        assert text.count(there) == 1, f"{path.name} has changed: mend the edit of {there!r}"
        text = text.replace(there, instead)
    path.write_text(text)


def _add_migration(sources: Path, revision: str, text: str) -> None:
    said = text.format(head=head(), EXPANDED=EXPANDED, CONTRACTED=CONTRACTED)
    (sources / "migrations" / "versions" / f"{revision}_to_come.py").write_text(said)
