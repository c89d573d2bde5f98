"""The operators' word on each payment provider."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Table, Text, text

from domain.storage import Micros, metadata

__all__ = ["provider_controls"]

provider_controls = Table(
    "provider_controls",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("paused_at", Micros),
    Column("paused_by", Text),
    Column("reason", Text),
    Column("updated_at", Micros, nullable=False),
)
