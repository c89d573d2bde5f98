"""Builds the payment gateway of the settings: for the server, and for commands that need none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from app.settings import Settings
from domain.errors import ConfigurationError
from domain.payments import PaymentGateway
from domain.storage import database_url
from sandbox import PostgresBooks, SandboxGateway, SqliteBooks, books_beside

__all__ = ["payment_gateway"]


def payment_gateway(settings: Settings, *, on_request: Callable[[], None] = lambda: None) -> PaymentGateway:
    """The gateway that the settings name, not started. `on_request` is called with each request that it sends."""
    if settings.payments == "sandbox":
        source = books_beside(database_url(settings.direct_url), bounds=settings.database_bounds)
        books = SqliteBooks(source) if isinstance(source, Path) else PostgresBooks(source)
        return SandboxGateway(books, on_request=on_request)
    try:
        from domain.payments.stripe import StripeGateway
    except ImportError:
        raise ConfigurationError(
            "SEATSAGA_PAYMENTS=stripe needs the stripe library; install it with: pip install 'seatsaga[stripe]'"
        ) from None
    assert settings.stripe_api_key is not None, "checked with the settings"
    return StripeGateway(
        settings.stripe_api_key.get_secret_value(),
        api_base=settings.stripe_api_base,
        calls_max=settings.guard_limits.calls_max,
        on_request=on_request,
    )
