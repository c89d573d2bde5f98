from tests.domain.bookings.conftest import postgres_pool, world

__all__ = ["postgres_pool", "world"]
