"""Some lives are lived at Stripe's witness."""

from tests.witness.fixtures import witness

__all__ = ["witness"]
