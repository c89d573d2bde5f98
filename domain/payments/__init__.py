"""Payments: handled by reference; an unknown result is read from the provider, not guessed.

::

    record, PENDING ──▶ authorize ──▶ AUTHORIZED ──▶ capture ──▶ CAPTURED
    the reference is        │ declined    │                         │
    durable first           ▼             ▼                         ▼
                        DECLINED       VOIDED ◀─ ensure_no_charge ─▶ REFUND_PENDING ─▶ REFUNDED
                                                     ▲                  │ failed
                                                     └──────────────────┘ under a new key

The reference names the provider's object. It is durable before any authorization is sent, so after
any outcome of that call there is an object to read and to undo. One function undoes,
`ensure_no_charge`: it reads the provider's state and voids or refunds accordingly. Voiding a
reference that the provider does not know yet makes it refuse a late authorization. If the provider
does not know money that we know it had, undoing is refused and never a success.

A refund that the provider has accepted is not a refund yet: it may take days, and it may fail. Only REFUNDED is the
end; until then nobody asks for another refund, and `refund_of` reads what became of this one. A payment that was
taken may also change without us: a refund or a dispute at the provider. It is read again after a hint, and `note`
keeps what the provider shows.

A card may need its holder (3-D Secure): then `authorize` succeeds with NeedsHolder as data, nothing is
reserved, and `authorization_of` reads what comes of it. After a refusal, by the bank or by the holder,
another card may be tried on the same reference, under the key of a new round: the one reference is what
makes two authorizations impossible, and voiding it ends all that was tried.

`PaymentGateway` is the port through which something is done. Its adapters are `stripe`, and the package
`sandbox` outside the domain. Their answers are values: succeeded, refused (proven without effect), unknown.
Every operation has an idempotency key.

`ProviderBooks` is the port through which the provider's books are read: listed by time, to be compared
with ours (`domain.reconciliation`, `domain.audit`). Its adapters are `stripe_books` and `sandbox.reading`.
"""

from domain.payments.books import BooksListing, BooksPage, BooksUnreadError, ProviderBooks, ProviderEntry
from domain.payments.calls import authorization_of, authorize, capture
from domain.payments.declines import CARD_NOT_CONFIRMED, CARD_REFUSALS, DECLINES, declined, is_of_card
from domain.payments.gateway import NeedsHolder, PaymentGateway, PaymentOrder, ProviderPayment, ProviderState
from domain.payments.masking import mask_payment_secrets
from domain.payments.records import (
    NewPayment,
    Payment,
    mark,
    new_reference,
    payment_of_reference,
    payments_of,
    record,
    sagas_of_reference,
    set_references,
)
from domain.payments.states import PAYMENT_TRANSITIONS, PaymentStatus
from domain.payments.undo import PAYMENT_DISPUTED, REFUND_FAILED, ensure_no_charge, refund_of
from domain.payments.watching import PaymentChanged, is_news, note

__all__ = [
    "CARD_NOT_CONFIRMED",
    "CARD_REFUSALS",
    "DECLINES",
    "PAYMENT_DISPUTED",
    "PAYMENT_TRANSITIONS",
    "REFUND_FAILED",
    "BooksListing",
    "BooksPage",
    "BooksUnreadError",
    "NeedsHolder",
    "NewPayment",
    "Payment",
    "PaymentChanged",
    "PaymentGateway",
    "PaymentOrder",
    "PaymentStatus",
    "ProviderBooks",
    "ProviderEntry",
    "ProviderPayment",
    "ProviderState",
    "authorization_of",
    "authorize",
    "capture",
    "declined",
    "ensure_no_charge",
    "is_news",
    "is_of_card",
    "mark",
    "mask_payment_secrets",
    "new_reference",
    "note",
    "payment_of_reference",
    "payments_of",
    "record",
    "refund_of",
    "sagas_of_reference",
    "set_references",
]
