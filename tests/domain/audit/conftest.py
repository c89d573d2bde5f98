from tests.domain.bookings.conftest import world

__all__ = ["world"]
