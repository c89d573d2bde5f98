"""The operators' token of an installation that was given none: made once, kept where only its owner reads it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from domain.errors import ConfigurationError

__all__ = ["TOKEN_FILE", "keep_token", "kept_token"]

TOKEN_FILE: Final = "admin-token"
_BYTES: Final = 32
_OTHERS: Final = 0o077


def kept_token(folder: Path) -> str | None:
    """The token in `folder`, or None where there is none."""
    path = folder / TOKEN_FILE
    try:
        return path.read_text("ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as a token; remove it, or mend its owner and mode.") from error


def keep_token(folder: Path) -> str:
    """The token in `folder`, made with mode 0600 where there is none.

    Raises ConfigurationError where others may read it.
    """
    found = kept_token(folder)
    path = folder / TOKEN_FILE
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ConfigurationError(f"{path} is empty; remove it.") from None
        found = secrets.token_urlsafe(_BYTES)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(found + "\n")
    elif path.stat().st_mode & _OTHERS:
        raise ConfigurationError(f"{path} may be read by others; run: chmod 600 {path}")
    return found
