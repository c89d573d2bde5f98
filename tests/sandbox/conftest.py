from tests.domain.payments.conftest import bank, sandbox

__all__ = ["bank", "sandbox"]
