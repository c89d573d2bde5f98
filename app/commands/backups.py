"""`seatsaga backup` and `seatsaga restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from app import backups
from app.commands import ReasonOption, asked_here
from app.commands.doctor import show_examination
from app.commands.terminal import Terminal
from app.settings import load_settings

__all__ = ["backup", "restore"]

EXIT_FINDINGS: Final = 1
_out = Terminal(soft_wrap=True)
_err = Terminal(stderr=True, soft_wrap=True)


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; it must not exist yet.")],
) -> None:
    """Write the SQLite database and the sandbox's books, both as of one moment, to one file.

    A server may run on the database meanwhile. For PostgreSQL, use pg_dump.
    """
    made = backups.make_backup(load_settings(), file)
    parts = " and ".join(f"{name} ({size:,} bytes)" for name, size in made.files.items())
    waited_ms = made.paused_seconds * 1_000
    _out.print(f"Wrote {file}: {parts}, as of {made.at:%Y-%m-%d %H:%M:%SZ}. Writers waited {waited_ms:.0f} ms.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that seatsaga backup wrote.")],
    despite_findings: Annotated[
        bool, typer.Option("--despite-findings", help="Restore it even if the examination finds something.")
    ] = False,
    reason: ReasonOption = None,
) -> None:
    """Replace the SQLite database and the sandbox's books by a backup, all of it or nothing.

    Stop the server first. The backup is read, migrated and examined as by doctor before any file is
    changed; the former files are kept.
    """
    asked = asked_here(reason)
    restored = backups.restore_backup(load_settings(), file, despite_findings=despite_findings, asked=asked)
    show_examination(restored.examination)
    if not restored.is_done:
        _err.print(
            "seatsaga: the backup failed the examination, and nothing was restored. To restore it anyway, run: "
            f"seatsaga restore --despite-findings {file}",
            style="bold red",
        )
        raise typer.Exit(EXIT_FINDINGS)
    _out.print(f"Restored {file}.")
    if restored.former is not None:
        _out.print(f"The former files are in {restored.former}; remove them when you no longer need them.")
    _out.print("Before you let callers in, read docs/scaling.md: restoring an earlier moment affects payments.")
