"""The tests of the witness itself use it as others do."""

from tests.witness.fixtures import merchant, stripe_gateway, witness

__all__ = ["merchant", "stripe_gateway", "witness"]
