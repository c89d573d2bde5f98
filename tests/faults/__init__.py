"""Tests that kill real processes wherever something becomes durable, and look at what is left."""

import pytest

pytest.register_assert_rewrite("tests.faults.exact")
