from tests.domain.saga.conftest import postgres_pool

__all__ = ["postgres_pool"]
