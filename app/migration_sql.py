"""Prints migrations as an SQL script, for people who must read it, or have another run it. Connects to nothing."""

from __future__ import annotations

from io import StringIO
from typing import Final, Literal

from alembic import command

from app.migrations import alembic_config, head, line_of, script
from domain.errors import ConfigurationError

__all__ = ["Dialect", "script_of"]

Dialect = Literal["sqlite", "postgresql"]
_RUN: Final = {"sqlite": "sqlite3 FILE < SCRIPT, while no server runs", "postgresql": "psql URL -f SCRIPT"}


def script_of(dialect: Dialect, *, begins_at: str | None = None) -> str:
    """The script that migrates a database from the revision `begins_at`, or from nothing, to what this code needs.

    Raises ConfigurationError if there is no such revision.
    """
    known = line_of(head())
    if begins_at is not None and begins_at not in known:
        raise ConfigurationError(
            f"there is no revision {begins_at}; those of this version are {known[0]} to {known[-1]}."
        )
    todo = known if begins_at is None else known[known.index(begins_at) + 1 :]
    about = [f"From {begins_at or 'nothing'} to {head()}, on {dialect}. Run it with: {_RUN[dialect]}"]
    if not todo:
        about.append("There is nothing to do.")
    for revision in todo:
        ended = getattr(script().get_revision(revision).module, "ends", None)
        if ended:
            about.append(f"{revision} ends releases up to {ended}: stop all of their replicas before you run it.")
    printed = StringIO()
    config = alembic_config()
    config.output_buffer = printed
    config.attributes["dialect"] = dialect
    command.upgrade(config, f"{begins_at}:head" if begins_at else "head", sql=True)
    first, _, rest = printed.getvalue().partition("\n")
    # The first line is for the tool that runs it.
    return "\n".join([first, *(f"-- {line}" for line in about), rest])
