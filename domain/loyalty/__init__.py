"""Loyalty accounts: miles awarded, points redeemed; every change is a permanent entry.

Guarantees: an account's `balance` and `pending` are always the sums of its entries' points and
pending points. Awarded miles are pending, in a column of their own, and cannot be spent until
they are posted. Redeemed points leave the balance at once. A reversal takes back exactly the
awarded miles, from the pending ones or, once posted, from the balance; that may go below zero
if the miles were spent. No change is made twice for one saga: (saga, reason) is unique.

Changes are functions over a batch. Accounts are locked in key order; an account that another
transaction has locked is answered `Busy`, never waited for.
"""

from domain.loyalty.ledger import lock
from domain.loyalty.model import (
    Award,
    Awarded,
    EntryReason,
    InsufficientPoints,
    LoyaltyAccount,
    LoyaltyEntry,
    MemberUnknown,
    NothingToPost,
    NothingToRefund,
    NothingToRestore,
    NothingToReverse,
    Posted,
    Redeemed,
    Redemption,
    Refunded,
    Restored,
    Reversed,
)
from domain.loyalty.queries import accounts_by_numbers, entries_by_ids, entries_count, entries_page
from domain.loyalty.seed import seed_members
from domain.loyalty.service import award, post, redeem, refund, restore, reverse

__all__ = [
    "Award",
    "Awarded",
    "EntryReason",
    "InsufficientPoints",
    "LoyaltyAccount",
    "LoyaltyEntry",
    "MemberUnknown",
    "NothingToPost",
    "NothingToRefund",
    "NothingToRestore",
    "NothingToReverse",
    "Posted",
    "Redeemed",
    "Redemption",
    "Refunded",
    "Restored",
    "Reversed",
    "accounts_by_numbers",
    "award",
    "entries_by_ids",
    "entries_count",
    "entries_page",
    "lock",
    "post",
    "redeem",
    "refund",
    "restore",
    "reverse",
    "seed_members",
]
