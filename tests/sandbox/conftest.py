from tests.domain.payments.conftest import bank, postgres_pool, sandbox

__all__ = ["bank", "postgres_pool", "sandbox"]
