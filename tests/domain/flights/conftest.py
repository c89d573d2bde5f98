from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.clock import from_datetime


@pytest.fixture
def now() -> int:
    """A moment before every flight of the tests, in microseconds."""
    return from_datetime(datetime(2030, 6, 1, 12, tzinfo=UTC))
