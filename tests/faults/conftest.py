"""Some scenarios play at Stripe's witness."""

from tests.witness.fixtures import witness

__all__ = ["witness"]
