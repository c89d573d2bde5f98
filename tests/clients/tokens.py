"""Tokens as an identity provider would issue them for the server under test."""

from __future__ import annotations

import time
import uuid
from typing import Final

import jwt

__all__ = ["SECRET", "customer", "token"]

SECRET: Final = "a secret that the server shares with whoever issues tokens"


def customer() -> str:
    """A subject whom no other test knows, so that what is theirs can be counted."""
    return f"customer-{uuid.uuid4()}"


def token(subject: str, *, seconds: int = 3600) -> str:
    """A token of `subject` that runs out after so many seconds."""
    return jwt.encode({"sub": subject, "exp": int(time.time()) + seconds}, SECRET, algorithm="HS256")
