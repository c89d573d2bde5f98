"""Which section of docs/runbooks.md says what to do about an incident."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from domain.saga import SagaStatus

__all__ = ["Runbook", "runbook_of"]


class Runbook(StrEnum):
    """The anchors of the sections about incidents."""

    AWAY = "the-provider-cannot-be-reached"
    """No call arrives, or its answer is lost."""
    KEY = "the-provider-refuses-our-key"
    """It turns every call away."""
    REFUSED = "the-provider-refuses-for-good"
    """It answers, and says no. Also what no other section is about."""
    NOT_IN_BOOKS = "the-payment-is-not-in-the-providers-books"
    """It shows less than our rows."""
    REFUND_FAILED = "a-refund-failed"
    """The money came back to us."""
    DISPUTED = "a-charge-is-disputed"
    """The bank is to decide."""
    NO_ANSWER = "no-final-answer-came"
    """It has accepted the refund, and nothing more."""
    OURS = "the-fault-is-ours"
    """An exception, or rows that contradict each other."""
    INJECTED = "the-failure-was-injected"
    """A simulation."""
    PARKED = "a-saga-is-parked"
    """No release here can read or run it."""


_BY_CODE: Final[Mapping[str, Runbook]] = {
    **dict.fromkeys(
        (
            "PROVIDER_UNREACHABLE",
            "PROVIDER_ERROR",
            "PROVIDER_BUSY",
            "PROVIDER_UNCLEAR",
            "GATEWAY_ERROR",
            "TIMEOUT",
            "INTERRUPTED",
        ),
        Runbook.AWAY,
    ),
    "PROVIDER_ACCESS_DENIED": Runbook.KEY,
    **dict.fromkeys(("PAYMENT_UNKNOWN", "PAYMENT_NOT_CAPTURED"), Runbook.NOT_IN_BOOKS),
    "REFUND_FAILED": Runbook.REFUND_FAILED,
    "PAYMENT_DISPUTED": Runbook.DISPUTED,
    **dict.fromkeys(("NO_FINAL_ANSWER", "REFUND_PENDING", "UNRESOLVED"), Runbook.NO_ANSWER),
    **dict.fromkeys(("INTERNAL", "FAULT", "BUSY", "HOLD_LOST"), Runbook.OURS),
    "SIMULATED": Runbook.INJECTED,
}


def runbook_of(status: SagaStatus, code: str) -> Runbook:
    """The section about sagas of this status that are stuck or parked with this code."""
    return Runbook.PARKED if status is SagaStatus.PARKED else _BY_CODE.get(code, Runbook.REFUSED)
