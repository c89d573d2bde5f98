"""The protocol's rules, each as what is wrong with a model that lacks it."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Flaw"]


class Flaw(StrEnum):
    """One rule left out."""

    FENCE_AFTER_EFFECTS = "FENCE_AFTER_EFFECTS"
    """A turn goes by a row that it read before; its effects commit, and only then the fence guards the saga's row."""
    NO_FENCE = "NO_FENCE"
    """A turn goes by a row that it read before, and writes it back whoever owns the saga by now."""
    PIN_BEFORE_LOCK = "PIN_BEFORE_LOCK"
    """The pin compares the hold with a clock that was read before the rows were locked."""
    SWEEP_BEFORE_LOCK = "SWEEP_BEFORE_LOCK"
    """The sweep judges holds as it finds them, and does not look again once it has locked them."""
    PIN_WITHOUT_SIGNALS = "PIN_WITHOUT_SIGNALS"
    """The pin does not ask for cancel and expiry signals."""
    CANCEL_AFTER_PIN = "CANCEL_AFTER_PIN"
    """A cancel does not ask for the pin."""
    SWEEP_AFTER_PIN = "SWEEP_AFTER_PIN"
    """The sweep does not ask for the pin."""
    UNKNOWN_IS_FAILED = "UNKNOWN_IS_FAILED"
    """An unknown attempt that is given up counts as one without effect: COMPENSATED with an unresolved reference."""
    ABSENT_IS_UNDONE = "ABSENT_IS_UNDONE"
    """A reference that the provider has not heard of yet is taken for undone, and not voided."""
    ROUND_NEVER_RAISED = "ROUND_NEVER_RAISED"
    """A stored 500 is asked for again and again, under one round."""
    ROUND_RAISED_UNPROVEN = "ROUND_RAISED_UNPROVEN"
    """A lost answer raises the round, as if the one before were proven without effect."""
    KEY_PER_ATTEMPT = "KEY_PER_ATTEMPT"
    """Every attempt has a key of its own, at a provider that goes by keys alone."""
    ANY_ANSWER_BELIEVED = "ANY_ANSWER_BELIEVED"
    """An answer is believed without asking which epoch, position and attempt it belongs to."""
    WORD_KEPT = "WORD_KEPT"
    """The turn that obeys a word leaves it on the row."""
    WORD_JUDGED_BEFORE_LOCK = "WORD_JUDGED_BEFORE_LOCK"
    """A word is compared with a clock that was read before the row was locked."""
    CARD_UNPROVEN = "CARD_UNPROVEN"
    """A lost answer asks for another card, as if the one before were proven without effect."""
    OLD_ANSWER_OVERWRITES = "OLD_ANSWER_OVERWRITES"
    """In the memory of a replica that took a saga over, the answer to a call of an older epoch takes the place of
    the note that nobody waits for the present one."""
