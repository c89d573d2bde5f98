"""GraphQL errors: an error that the caller can fix, or wait out, has a code; faults are masked.

A refusal that fits into a payload is a payload error, not one of these (see `payloads`).

An error does not repeat a value that the caller sent: it may be a card's token, and errors are logged
and forwarded. The error says where the value is and which values are valid. It repeats names of fields
and types if they are short, as these are often misspelt.

graphql-core quotes a value at the end of its message, so the message is cut where the first quotation
begins. The text before it is graphql-core's own, or a name, which has no spaces and so cannot look like
a quotation. All functions here are linear in the length of the message.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, Final

from graphql import FieldNode, GraphQLError

from domain.errors import (
    CommitUnknownError,
    CursorAheadError,
    FeedError,
    HistoryPrunedError,
    SlowConsumerError,
    UnknownSagaError,
    UnreadableEventError,
)
from domain.ids import new_id
from domain.payments import mask_payment_secrets
from domain.storage import trouble_of

__all__ = [
    "UNAVAILABLE_SECONDS",
    "bad_input",
    "feed_error",
    "forbidden",
    "interrupted",
    "invalid_document",
    "limit_exceeded",
    "limit_of_document",
    "limit_of_variables",
    "masked",
    "not_for_guests",
    "not_found",
    "nothing_was_done",
    "unauthenticated",
    "unavailable",
    "unfit_value",
    "unparsable_document",
    "untrusted_document",
    "without_tokens",
    "without_values",
]

#: The retry delay after the database could not be used.
UNAVAILABLE_SECONDS: Final = 2
#: The limits of a repeated name, and of a whole message.
NAME_CHARACTERS_MAX: Final = 64
MESSAGE_CHARACTERS_MAX: Final = 500
#: The text in front of a quoted value, and the replacement for both.
_VALUES: Final = (
    (", but encountered error '", "."),
    (", found: ", "."),
    ("? Found: ", "?"),
)
_UNFIT: Final = " cannot represent "
_UNFIT_VALUE: Final = " value: "
_UNLISTED: Final = ("Value '", "' does not exist in '")
#: The text in front of a quoted token in a syntax error, and the replacement for both.
_TOKENS: Final = (
    (" String '", " String."),
    (" BlockString '", " BlockString."),
    (" Int '", " Int."),
    (" Float '", " Float."),
    (", did you mean '0.", "."),
    (" sequence: '", " sequence."),
)
_LONG_NAME: Final = re.compile(rf"\w{{{NAME_CHARACTERS_MAX + 1},}}")
_logger = logging.getLogger("seatsaga.graphql")


def _error(code: str, message: str, **facts: Any) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code, **facts})


def bad_input(message: str, *path: str, limit: int | None = None, nearest: Sequence[str] | None = None) -> GraphQLError:
    """An argument is invalid; `limit`: the maximum that it exceeds, if any; `nearest`: what it may mean."""
    facts: dict[str, Any] = {"argument": list(path)} if path else {}
    if nearest is not None:
        facts["nearest"] = list(nearest)
    if limit is not None:
        facts["limit"] = limit
    return _error("BAD_USER_INPUT", message, **facts)


def unparsable_document(error: GraphQLError) -> GraphQLError:
    """The text is not GraphQL."""
    return _coded(error, without_tokens(error.message), "GRAPHQL_PARSE_FAILED")


def invalid_document(error: GraphQLError) -> GraphQLError:
    """The document is invalid: for example, it asks for unknown fields."""
    return _coded(error, without_values(error.message), "GRAPHQL_VALIDATION_FAILED")


def untrusted_document() -> GraphQLError:
    """The server runs other documents only."""
    message = "This server runs trusted documents only, and this is none of them; its operator can add it to them."
    return _error("DOCUMENT_NOT_TRUSTED", message)


def unfit_value(error: GraphQLError) -> GraphQLError:
    """A variable, or an argument with its variables, is invalid."""
    return _coded(error, without_values(error.message), "BAD_USER_INPUT")


def limit_of_document(what: str, limit: int, **facts: Any) -> GraphQLError:
    """The document exceeds a limit."""
    return _error("LIMIT_EXCEEDED", f"A document may have at most {limit:,} {what}.", limit=limit, **facts)


def limit_of_variables(limit: int) -> GraphQLError:
    """The variables hold too many values."""
    return _error("LIMIT_EXCEEDED", f"Variables may hold at most {limit:,} values.", limit=limit)


def _coded(error: GraphQLError, message: str, code: str) -> GraphQLError:
    """Change the error in place: a new one would compute its locations in the document again."""
    error.message = message
    error.extensions = {"code": code, **(error.extensions or {})}
    return error.with_traceback(None)


def not_found(message: str) -> GraphQLError:
    """The object does not exist, or belongs to someone else."""
    return _error("NOT_FOUND", message)


def forbidden(field: str, scopes: Sequence[str]) -> GraphQLError:
    """The caller is authenticated but has none of these scopes, one of which is needed."""
    wanted = " or ".join(scopes)
    message = f"{field} is for operators with the scope {wanted}; send an operator's bearer token that has it."
    return _error("FORBIDDEN", message, scopes=list(scopes))


def not_for_guests(field: str) -> GraphQLError:
    """The field of a booking is not shown to a guest."""
    return _error("FORBIDDEN", f"{field} is not shown to guests; ask for the booking with its owner's token.")


def unauthenticated() -> GraphQLError:
    """The caller is not authenticated."""
    return _error("UNAUTHENTICATED", "Send a bearer token.")


def limit_exceeded(message: str, *, limit: int, retry_after_seconds: int | None = None) -> GraphQLError:
    """The request exceeds a limit; nothing was done."""
    facts: dict[str, Any] = {"limit": limit}
    if retry_after_seconds is not None:
        facts["retryAfterSeconds"] = retry_after_seconds
    return _error("LIMIT_EXCEEDED", message, **facts)


def unavailable() -> GraphQLError:
    """The database cannot be used now."""
    message = "The database cannot be used just now; send the same request again."
    return _error("UNAVAILABLE", message, retryAfterSeconds=UNAVAILABLE_SECONDS)


def nothing_was_done(error: GraphQLError) -> bool:
    """Whether the database could not be used and nothing was written."""
    link: BaseException | None = error.original_error
    if link is None or trouble_of(link) is None:
        return False
    while link is not None:
        if isinstance(link, CommitUnknownError):
            return False
        link = link.__context__
    return True


def feed_error(error: FeedError) -> GraphQLError:
    """Why a live view ended, and how to resume."""
    match error:
        case SlowConsumerError(sequence=sequence):
            return _error("SLOW_CONSUMER", str(error), **_resuming(sequence))
        case CursorAheadError(newest=newest):
            return _error("CURSOR_AHEAD", str(error), newest=newest)
        case HistoryPrunedError(oldest=oldest):
            return _error("HISTORY_PRUNED", str(error), oldest=oldest)
        case UnknownSagaError():
            return not_found(str(error))
        case UnreadableEventError(sequence=sequence):
            return _error("INTERNAL", str(error), **_resuming(sequence - 1))
        case _:
            return _error("INTERNAL", "The live view ended.")


def interrupted(*, expired: bool, resume_after: int | None) -> GraphQLError:
    """The server ends a stream early: the caller's token has expired, or the server stops."""
    code, reason = ("UNAUTHENTICATED", "The token has expired") if expired else ("SERVER_STOPPING", "The server stops")
    again = "subscribe again" if resume_after is None else f"subscribe again with after: {resume_after}"
    return _error(code, f"{reason}; {again}.", **_resuming(resume_after))


def _resuming(sequence: int | None) -> dict[str, int]:
    return {} if sequence is None else {"resumeAfter": sequence}


def masked(error: GraphQLError) -> GraphQLError:
    """The error as the caller may see it. A fault is hidden behind an id, which the log has, too."""
    original = error.original_error
    if original is None or (isinstance(original, GraphQLError) and original.extensions):
        return error if error.extensions else unfit_value(error)
    if isinstance(original, FeedError):
        return _placed(feed_error(original), error)
    if isinstance(original, GraphQLError) and original.nodes and not isinstance(original.nodes[0], FieldNode):
        # Only arguments: an error in a field itself is our fault.
        return unfit_value(error)
    trouble = trouble_of(original)
    if trouble is not None:
        _logger.warning("%s could not be answered; the database: %s.", error.path, trouble)
        return _placed(unavailable(), error)
    fault_id = new_id()
    _logger.error("fault %s at %s", fault_id, error.path, exc_info=original)
    return _placed(_error("INTERNAL", f"An internal error; the log names it {fault_id}.", id=fault_id), error)


def _placed(told: GraphQLError, error: GraphQLError) -> GraphQLError:
    """`told` with the location and path of `error`."""
    return GraphQLError(told.message, error.nodes, path=error.path, extensions=told.extensions)


def without_values(message: str) -> str:
    """graphql-core's message about a document or a variable, without quoted values."""
    message = _without_unlisted(message)
    unfit = message.find(_UNFIT)
    if unfit >= 0 and (place := message.find(_UNFIT_VALUE, unfit)) >= 0:
        message = message[: place + len(_UNFIT_VALUE) - 2]
    return _bounded(_cut(message, _VALUES))


def without_tokens(message: str) -> str:
    """graphql-core's message of a syntax error, without the text of tokens, except short names."""
    return _bounded(_cut(message, _TOKENS))


def _cut(message: str, marks: Sequence[tuple[str, str]]) -> str:
    """The message up to its first mark, and the mark's replacement."""
    found = [(place, rest) for mark, rest in marks if (place := message.find(mark)) >= 0]
    if not found:
        return message
    place, rest = min(found)
    return message[:place] + rest


def _without_unlisted(message: str) -> str:
    """Remove a value that an enum does not have. Its name is searched from the end: a value may contain it."""
    before, after = _UNLISTED
    place, rest = message.find(before), message.rfind(after)
    if not 0 <= place < rest or not (place == 0 or message.startswith(": ", place - 2)):
        return message
    return f"{message[:place]}This value does not exist in '{message[rest + len(after) :]}"


def _bounded(message: str) -> str:
    return mask_payment_secrets(_LONG_NAME.sub("…", message[:MESSAGE_CHARACTERS_MAX]))
