"""What tests need and pip and npm cannot bring: where it is missing they are passed over, and in .ci/run they fail."""

from __future__ import annotations

import os

import pytest

__all__ = ["require"]


def require(what: str, missing: str | None) -> None:
    """Pass over whoever asks where `missing` says why; fail where SEATSAGA_TEST_REQUIRE_<what> is set."""
    if missing is None:
        return
    if os.environ.get(f"SEATSAGA_TEST_REQUIRE_{what}"):
        pytest.fail(missing)
    pytest.skip(missing)
