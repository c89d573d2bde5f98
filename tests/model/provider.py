"""The payment provider: one reference, and the answers that are kept under their idempotency keys.

A key's first answer is repeated, with no further effect, whatever it was: also a 500. What the
operations do is what `sandbox.ledger` does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from domain.payments import ProviderState
from tests.model.flaws import Flaw

__all__ = ["FORWARD_OPERATIONS", "Operation", "Provider", "Reply", "Request"]


class Operation(StrEnum):
    """What the provider is asked to do."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


FORWARD_OPERATIONS: Final = frozenset({Operation.AUTHORIZE, Operation.CAPTURE})


class Reply(StrEnum):
    """What the provider answers."""

    OK = "OK"
    REFUSED = "REFUSED"
    ERROR = "ERROR"
    """A 500."""


class Request(NamedTuple):
    """One operation for a step in a round: that is the idempotency key, so a request is its own key."""

    operation: Operation
    position: int
    round: int


class Provider(NamedTuple):
    """The provider's books: the reference, what is kept under each key, and how often each effect took place."""

    state: ProviderState = ProviderState.ABSENT
    answers: frozenset[tuple[Request, Reply]] = frozenset()
    authorizations: int = 0
    captures: int = 0
    voids: int = 0
    refunds: int = 0

    def kept(self, request: Request) -> Reply | None:
        """The answer that is kept under the request's key."""
        for known, reply in self.answers:
            if known == request:
                return reply
        return None

    def answer(self, request: Request, flaw: Flaw | None = None) -> tuple[Provider, Reply]:
        """Do what is asked for, once under its key."""
        reply = self.kept(request)
        if reply is not None:
            return self, reply
        provider, reply = self._apply(request.operation, flaw)
        return provider.keep(request, reply), reply

    def keep(self, request: Request, reply: Reply) -> Provider:
        """Answer so from now on to everything that comes under this key."""
        return self._replace(answers=self.answers | {(request, reply)})

    def _apply(self, operation: Operation, flaw: Flaw | None) -> tuple[Provider, Reply]:
        state = self.state
        match operation:
            case Operation.AUTHORIZE:
                may = state in (ProviderState.ABSENT, ProviderState.OPEN)
                if may or (flaw is Flaw.KEY_PER_ATTEMPT and state is ProviderState.AUTHORIZED):
                    authorizations = self.authorizations + 1
                    return self._replace(state=ProviderState.AUTHORIZED, authorizations=authorizations), Reply.OK
            case Operation.CAPTURE:
                if state is ProviderState.AUTHORIZED:
                    return self._replace(state=ProviderState.CAPTURED, captures=self.captures + 1), Reply.OK
            case Operation.VOID:
                if state is ProviderState.VOIDED:
                    return self, Reply.OK
                if state not in (ProviderState.CAPTURED, ProviderState.REFUNDED):
                    return self._replace(state=ProviderState.VOIDED, voids=self.voids + 1), Reply.OK
            case Operation.REFUND:
                if state is ProviderState.REFUNDED:
                    return self, Reply.OK
                if state is ProviderState.CAPTURED:
                    return self._replace(state=ProviderState.REFUNDED, refunds=self.refunds + 1), Reply.OK
        return self, Reply.REFUSED
