"""The effect of each operation on a reference: pure, so that both kinds of books behave alike."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from domain.clock import SECOND
from domain.outcome import Refused
from domain.payments import CARD_NOT_CONFIRMED, DECLINES, REFUND_FAILED, ProviderState, declined

__all__ = [
    "HASHED",
    "NEEDS_HOLDER",
    "REFUND_PENDING",
    "REFUND_SECONDS",
    "Answer",
    "Entry",
    "Request",
    "apply",
    "hashed",
    "new_secret",
    "reference_in",
]

HASHED: Final = "sha256:"
TOKEN_DEFAULT: Final = "pm_card_visa"
#: Cards whose refunds take REFUND_SECONDS, and what becomes of the first; all later ones succeed.
_REFUNDED_LATE: Final = {"pm_card_pendingRefund": "SUCCEEDS", "pm_card_refundFail": "FAILS"}
REFUND_SECONDS: Final = 5
_APPROVED: Final = frozenset(
    {"pm_card_visa", "pm_card_visa_debit", "pm_card_mastercard", "pm_card_amex", *_REFUNDED_LATE}
)
_DECLINED: Final = {
    "pm_card_chargeDeclined": "PAYMENT_DECLINED",
    "pm_card_chargeDeclinedInsufficientFunds": "INSUFFICIENT_FUNDS",
    "pm_card_chargeDeclinedExpiredCard": "CARD_EXPIRED",
    "pm_card_chargeDeclinedIncorrectCvc": "INCORRECT_CVC",
    "pm_card_chargeDeclinedLostCard": "CARD_LOST",
    "pm_card_chargeDeclinedStolenCard": "CARD_STOLEN",
    "pm_card_chargeDeclinedProcessingError": "PROCESSING_ERROR",
    "pm_card_chargeDeclinedVelocityLimitExceeded": "CARD_LIMIT_EXCEEDED",
    "pm_card_chargeDeclinedFraudulent": "PAYMENT_DECLINED",
}
#: Stripe writes some of these tokens with the card's brand, as pm_card_visa_chargeDeclined.
_WITH_BRAND: Final = "pm_card_visa_chargeDeclined"
#: Cards that need their holder, and the answer that an approval leads to.
_CONFIRMED: Final = {
    "pm_card_threeDSecure2Required": "OK",
    "pm_card_authenticationRequired": "OK",
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": "INSUFFICIENT_FUNDS",
}
NEEDS_HOLDER: Final = "NEEDS_HOLDER"
REFUND_PENDING: Final = "REFUND_PENDING"
_REFUSALS: Final = {code: declined(code) for code in DECLINES} | {
    CARD_NOT_CONFIRMED.code: CARD_NOT_CONFIRMED,
    REFUND_FAILED: Refused(REFUND_FAILED, "The card's bank sent the refund back."),
}
_TAKEN: Final = frozenset({ProviderState.CAPTURED, ProviderState.REFUND_PENDING, ProviderState.REFUNDED})
_SECRET: Final = re.compile(r"(\w{1,100})_secret_[0-9a-f]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """One operation on one reference, under its idempotency key; `fails` stores a 500 instead of the effect.

    `secret`: with `authorize` a new one, for a card that needs its holder; with `approve` and `refuse`,
    which are the holder's, the one that the holder has. `at`: when it arrives, in microseconds; a refund that is
    pending ends REFUND_SECONDS later, with `finish`.
    """

    operation: str
    reference: str
    key: str
    amount: int = 0
    currency: str = ""
    token: str | None = None
    fails: bool = False
    secret: str = field(default="", repr=False)
    correlation_id: str = ""
    at: int = 0

    @property
    def fingerprint(self) -> str:
        """The fields that must be equal for requests under one key; of the card's token only its hash."""
        return f"{self.operation}|{self.reference}|{self.amount}|{self.currency}|{hashed(self.token or '')}"


def hashed(token: str) -> str:
    """A hash that distinguishes a card's token from others without revealing it; empty for no token."""
    return f"{HASHED}{hashlib.sha256(token.encode()).hexdigest()}" if token else ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The stored answer of a key: a code and a message; the code OK is a success, PROVIDER_ERROR a 500."""

    code: str
    message: str


@dataclass(slots=True)
class Entry:
    """A reference in the books, and how often each effect took place.

    `secret`: that of the last card that needed its holder. `approval`: the answer that an approval leads to.
    `failure`: why a card that needed its holder was refused in the end, or REFUND_FAILED if the last refund was.
    `correlation_id`: the payer's name for it. `created_at`, `changed_at`: when it was made and when the last effect
    took place, in microseconds; 0 in books of an older version. `refunding`: what becomes of its next refund, SUCCEEDS
    or FAILS; empty if it is made at once. `refund_ends_at`: when the refund that is pending will be over, in
    microseconds; 0 if none is.
    """

    reference: str
    state: ProviderState
    amount: int = 0
    currency: str = ""
    authorizations: int = 0
    captures: int = 0
    voids: int = 0
    refunds: int = 0
    secret: str = field(default="", repr=False)
    approval: str = ""
    failure: str = ""
    correlation_id: str = ""
    created_at: int = 0
    changed_at: int = 0
    refunding: str = ""
    refund_ends_at: int = 0

    @property
    def refusal(self) -> Refused | None:
        """Why the last card that needed its holder was refused, while no other has been; or the last refund."""
        is_of_refund = self.failure == REFUND_FAILED
        shown = ProviderState.CAPTURED if is_of_refund else ProviderState.OPEN
        return _REFUSALS[self.failure] if self.state is shown and self.failure else None

    def is_due(self, at: int) -> bool:
        """Whether the refund that is pending is over `at` this moment."""
        return self.state is ProviderState.REFUND_PENDING and self.refund_ends_at <= at


def new_secret(reference: str) -> str:
    """A secret that nobody can guess, for the holder of a card."""
    return f"{reference}_secret_{secrets.token_hex(16)}"


def reference_in(secret: str) -> str | None:
    """The reference that `secret` is for; None if it is no secret of ours."""
    found = _SECRET.fullmatch(secret)
    return found[1] if found else None


def apply(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    """The reference's new state, and the answer.

    An answer other than OK, NEEDS_HOLDER and REFUND_PENDING has changed nothing.
    """
    if request.fails:
        return entry, Answer("PROVIDER_ERROR", "The provider answered 500.")
    match request.operation:
        case "authorize":
            return _authorize(entry, request)
        case "capture":
            return _capture(entry, request)
        case "void":
            return _void(entry, request)
        case "refund":
            return _refund(entry, request)
        case "finish":
            return _finish(entry, request)
        case "approve" | "refuse":
            return _hear(entry, request)
        case _:
            raise LookupError(request.operation)


def _authorize(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    if entry is not None and entry.state is ProviderState.VOIDED:
        return entry, Answer("PAYMENT_VOIDED", "The payment was voided.")
    if entry is not None and entry.state is ProviderState.NEEDS_HOLDER:
        return entry, Answer("PAYMENT_NEEDS_HOLDER", "The payment waits for the holder of another card.")
    if entry is not None and entry.state is not ProviderState.OPEN:
        return entry, Answer("PAYMENT_AUTHORIZED_ALREADY", "The payment is authorized already.")
    token = request.token or TOKEN_DEFAULT
    code = _DECLINED.get(token.replace(_WITH_BRAND, "pm_card_chargeDeclined"))
    if code is not None:
        return entry, Answer(code, DECLINES[code])
    if token not in _APPROVED and token not in _CONFIRMED:
        return entry, Answer("CARD_TOKEN_UNKNOWN", "The provider does not know this card token.")
    entry = entry or Entry(request.reference, ProviderState.OPEN)
    entry.amount, entry.currency, entry.correlation_id = request.amount, request.currency, request.correlation_id
    if token in _CONFIRMED:
        entry.state, entry.secret, entry.approval = ProviderState.NEEDS_HOLDER, request.secret, _CONFIRMED[token]
        return entry, Answer(NEEDS_HOLDER, "The card's holder must confirm the payment.")
    entry.state = ProviderState.AUTHORIZED
    entry.authorizations += 1
    entry.refunding = _REFUNDED_LATE.get(token, "")
    return entry, Answer("OK", "authorized")


def _hear(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    """The holder's answer. It counts once, and only while the payment waits for the bearer of this secret."""
    if (
        entry is None
        or entry.state is not ProviderState.NEEDS_HOLDER
        or not secrets.compare_digest(entry.secret, request.secret)
    ):
        return entry, Answer("NOTHING_TO_CONFIRM", "The payment does not wait for this answer.")
    code = entry.approval if request.operation == "approve" else CARD_NOT_CONFIRMED.code
    if code == "OK":
        entry.state = ProviderState.AUTHORIZED
        entry.authorizations += 1
    else:
        entry.state, entry.failure = ProviderState.OPEN, code
    return entry, Answer("OK", "heard")


def _capture(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    if entry is None or entry.state is not ProviderState.AUTHORIZED:
        state = ProviderState.ABSENT if entry is None else entry.state
        return entry, Answer("PAYMENT_NOT_AUTHORIZED", f"The payment is {state.value}.")
    if (entry.amount, entry.currency) != (request.amount, request.currency):
        return entry, Answer("AMOUNT_MISMATCH", "Another amount was authorized.")
    entry.state = ProviderState.CAPTURED
    entry.captures += 1
    return entry, Answer("OK", "captured")


def _void(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    if entry is None:
        entry = Entry(request.reference, ProviderState.OPEN)
    if entry.state in _TAKEN:
        return entry, Answer("PAYMENT_CAPTURED", f"The payment is {entry.state.value}.")
    if entry.state is not ProviderState.VOIDED:
        entry.state = ProviderState.VOIDED
        entry.voids += 1
    return entry, Answer("OK", "voided")


def _refund(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    if entry is None or entry.state not in _TAKEN:
        return entry, Answer("PAYMENT_NOT_CAPTURED", "There is nothing to refund.")
    if entry.state is ProviderState.CAPTURED and entry.refunding:
        entry.state, entry.failure = ProviderState.REFUND_PENDING, ""
        entry.refund_ends_at = request.at + REFUND_SECONDS * SECOND
    if entry.state is ProviderState.REFUND_PENDING:
        return entry, Answer(REFUND_PENDING, "The refund is accepted, and takes its time.")
    if entry.state is not ProviderState.REFUNDED:
        entry.state = ProviderState.REFUNDED
        entry.refunds += 1
    return entry, Answer("OK", "refunded")


def _finish(entry: Entry | None, request: Request) -> tuple[Entry | None, Answer]:
    """The end of a refund that was pending, once it is due."""
    if entry is None or not entry.is_due(request.at):
        return entry, Answer("NOTHING_TO_FINISH", "No refund is due.")
    fails, entry.refunding, entry.refund_ends_at = entry.refunding == "FAILS", "SUCCEEDS", 0
    if fails:
        entry.state, entry.failure = ProviderState.CAPTURED, REFUND_FAILED
    else:
        entry.state = ProviderState.REFUNDED
        entry.refunds += 1
    return entry, Answer("OK", "finished")
