"""`seatsaga backup` and `seatsaga restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from app import backups
from app.commands.doctor import show_examination
from app.commands.terminal import Terminal
from app.settings import load_settings

__all__ = ["backup", "restore"]

EXIT_FINDINGS: Final = 1
_out = Terminal(soft_wrap=True)
_err = Terminal(stderr=True, soft_wrap=True)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, which must not be there yet.")],
) -> None:
    """Write the SQLite database and the sandbox's books, both as of one moment, to one file.

    Whether or not a server runs on it. PostgreSQL has pg_dump.
    """
    made = backups.make_backup(load_settings(), file)
    parts = " and ".join(f"{name} ({size:,} bytes)" for name, size in made.files.items())
    waited_ms = made.paused_seconds * 1_000
    _out.print(
        f"Wrote {file}: {parts}, as of {made.at:%Y-%m-%d %H:%M:%SZ}, for which writers waited {waited_ms:.0f} ms."
    )


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What seatsaga backup wrote.")],
    despite_findings: Annotated[
        bool, typer.Option("--despite-findings", help="Restore it also where the examination finds something.")
    ] = False,
) -> None:
    """Put a backup in the place of the SQLite database and the sandbox's books, all of it or nothing.

    The server must be stopped. The backup is read through, migrated and examined as by doctor
    before anything is touched; the former files are set aside.
    """
    restored = backups.restore_backup(load_settings(), file, despite_findings=despite_findings)
    show_examination(restored.examination)
    if not restored.is_done:
        _err.print(
            "seatsaga: the backup does not hold what it should, and nothing was restored. To restore it all the same: "
            f"seatsaga restore --despite-findings {file}",
            style="bold red",
        )
        raise typer.Exit(EXIT_FINDINGS)
    _out.print(f"Restored {file}.")
    if restored.former is not None:
        _out.print(f"The former files are in {restored.former}; remove them once they are not needed.")
    _out.print("Before callers are let in, see docs/scaling.md: what an earlier moment means for money.")
