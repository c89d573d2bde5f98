"""Who asks, where a test does not look at it."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from domain.actors import Actor, ActorRole, Asked

__all__ = ["AN_OPERATOR", "A_CUSTOMER", "bearer_of", "operator"]


def operator(subject: str, reason: str | None = None, request_id: str | None = None) -> Asked:
    """What an operator asks for."""
    return Asked(Actor(ActorRole.OPERATOR, subject), reason, request_id)


def bearer_of(admin_token: str) -> str:
    """The subject of whoever bears this admin token."""
    return f"admin-token:{sha256(admin_token.encode()).hexdigest()[:8]}"


AN_OPERATOR: Final = operator("grace")
A_CUSTOMER: Final = Asked(Actor(ActorRole.CUSTOMER, "someone"))
