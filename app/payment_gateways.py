"""Builds the payment gateway of the settings, for commands that need no server."""

from __future__ import annotations

from pathlib import Path

from app.settings import Settings
from domain.errors import ConfigurationError
from domain.payments import PaymentGateway
from domain.storage import database_url
from sandbox import PostgresBooks, SandboxGateway, SqliteBooks, books_beside

__all__ = ["payment_gateway"]


def payment_gateway(settings: Settings) -> PaymentGateway:
    """The gateway that the settings name, not started."""
    if settings.payments == "sandbox":
        source = books_beside(database_url(settings.direct_url), bounds=settings.database_bounds)
        return SandboxGateway(SqliteBooks(source) if isinstance(source, Path) else PostgresBooks(source))
    try:
        from domain.payments.stripe import StripeGateway
    except ImportError:
        raise ConfigurationError(
            "SEATSAGA_PAYMENTS=stripe needs the stripe library; install it with: pip install 'seatsaga[stripe]'"
        ) from None
    assert settings.stripe_api_key is not None, "checked with the settings"
    return StripeGateway(settings.stripe_api_key.get_secret_value(), api_base=settings.stripe_api_base)
