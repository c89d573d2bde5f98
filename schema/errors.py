"""GraphQL errors: what the caller can mend in the document or the moment has a code; faults are masked.

Refusals that a payload can hold are payload errors, not these (see `payloads`).

What a caller has sent is not sent back in an error: it may be a card's token, and errors are logged
and forwarded. An error says where the value stands and what it may be; the caller knows what it is.
Names of fields and types are repeated where they are short, as those are what is misspelt.

graphql-core quotes a value at the end of what it has to say. So its message is cut where the
first quotation begins. What stands before that is ours, or a name, which has no spaces and so
cannot look like a quotation. Nothing here takes longer than the message is long.
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
from domain.payments import mask_card_tokens
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
    "not_found",
    "nothing_was_done",
    "unauthenticated",
    "unavailable",
    "unfit_value",
    "unparsable_document",
    "without_tokens",
    "without_values",
]

#: When to ask again what the database could not be used for.
UNAVAILABLE_SECONDS: Final = 2
#: Of what a message repeats, and of the message itself.
NAME_CHARACTERS_MAX: Final = 64
MESSAGE_CHARACTERS_MAX: Final = 500
#: What stands in front of a quoted value, and what is written instead of both.
_VALUES: Final = (
    (", but encountered error '", "."),
    (", found: ", "."),
    ("? Found: ", "?"),
)
_UNFIT: Final = " cannot represent "
_UNFIT_VALUE: Final = " value: "
_UNLISTED: Final = ("Value '", "' does not exist in '")
#: What stands in front of the text of a token, or of a part of it, in a syntax error, and what is left of it.
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


def bad_input(message: str, *path: str, limit: int | None = None) -> GraphQLError:
    """An argument is not what it may be; `limit`: nor what it may be at most."""
    facts: dict[str, Any] = {"argument": list(path)} if path else {}
    if limit is not None:
        facts["limit"] = limit
    return _error("BAD_USER_INPUT", message, **facts)


def unparsable_document(error: GraphQLError) -> GraphQLError:
    """The text is no GraphQL."""
    return _coded(error, without_tokens(error.message), "GRAPHQL_PARSE_FAILED")


def invalid_document(error: GraphQLError) -> GraphQLError:
    """The document asks for what there is not."""
    return _coded(error, without_values(error.message), "GRAPHQL_VALIDATION_FAILED")


def unfit_value(error: GraphQLError) -> GraphQLError:
    """A variable, or an argument with its variables, is not what it may be."""
    return _coded(error, without_values(error.message), "BAD_USER_INPUT")


def limit_of_document(what: str, limit: int, **facts: Any) -> GraphQLError:
    """The document asks for more than one may."""
    return _error("LIMIT_EXCEEDED", f"A document may have at most {limit:,} {what}.", limit=limit, **facts)


def limit_of_variables(limit: int) -> GraphQLError:
    """The variables hold more than they may."""
    return _error("LIMIT_EXCEEDED", f"Variables may hold at most {limit:,} values.", limit=limit)


def _coded(error: GraphQLError, message: str, code: str) -> GraphQLError:
    """The same error: to make another would be to look for its places in the document again."""
    error.message = message
    error.extensions = {"code": code, **(error.extensions or {})}
    return error.with_traceback(None)


def not_found(message: str) -> GraphQLError:
    """It does not exist, or it is another's."""
    return _error("NOT_FOUND", message)


def forbidden(field: str) -> GraphQLError:
    """The caller is known and may not."""
    return _error("FORBIDDEN", f"{field} is for operators; send the operator's bearer token.")


def unauthenticated() -> GraphQLError:
    """The caller is not known."""
    return _error("UNAUTHENTICATED", "Send a bearer token.")


def limit_exceeded(message: str, *, limit: int, retry_after_seconds: int | None = None) -> GraphQLError:
    """More than the server takes on; nothing was done."""
    facts: dict[str, Any] = {"limit": limit}
    if retry_after_seconds is not None:
        facts["retryAfterSeconds"] = retry_after_seconds
    return _error("LIMIT_EXCEEDED", message, **facts)


def unavailable() -> GraphQLError:
    """The database cannot be used just now."""
    message = "The database cannot be used just now; send the same request again."
    return _error("UNAVAILABLE", message, retryAfterSeconds=UNAVAILABLE_SECONDS)


def nothing_was_done(error: GraphQLError) -> bool:
    """Whether the database could not be used, and what was to be written has not been."""
    link: BaseException | None = error.original_error
    if link is None or trouble_of(link) is None:
        return False
    while link is not None:
        if isinstance(link, CommitUnknownError):
            return False
        link = link.__context__
    return True


def feed_error(error: FeedError) -> GraphQLError:
    """Why a live view ended, and how to go on."""
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
    """The server ends a stream that is not over: the caller's token has expired, or the server stops."""
    code, reason = ("UNAUTHENTICATED", "The token has expired") if expired else ("SERVER_STOPPING", "The server stops")
    again = "subscribe again" if resume_after is None else f"subscribe again with after: {resume_after}"
    return _error(code, f"{reason}; {again}.", **_resuming(resume_after))


def _resuming(sequence: int | None) -> dict[str, int]:
    return {} if sequence is None else {"resumeAfter": sequence}


def masked(error: GraphQLError) -> GraphQLError:
    """The error as the caller may see it: a fault keeps its secrets, and has an id that the log also bears."""
    original = error.original_error
    if original is None or (isinstance(original, GraphQLError) and original.extensions):
        return error if error.extensions else unfit_value(error)
    if isinstance(original, FeedError):
        return _placed(feed_error(original), error)
    if isinstance(original, GraphQLError) and original.nodes and not isinstance(original.nodes[0], FieldNode):
        # Of an argument: what is wrong with a field itself is ours.
        return unfit_value(error)
    trouble = trouble_of(original)
    if trouble is not None:
        _logger.warning("%s could not be answered; the database: %s.", error.path, trouble)
        return _placed(unavailable(), error)
    fault_id = new_id()
    _logger.error("fault %s at %s", fault_id, error.path, exc_info=original)
    return _placed(_error("INTERNAL", f"An internal error; the log names it {fault_id}.", id=fault_id), error)


def _placed(told: GraphQLError, error: GraphQLError) -> GraphQLError:
    """What the caller is told, at the place of `error`."""
    return GraphQLError(told.message, error.nodes, path=error.path, extensions=told.extensions)


def without_values(message: str) -> str:
    """The message of an error of graphql-core about a document or a variable, without the values that it quotes."""
    message = _without_unlisted(message)
    unfit = message.find(_UNFIT)
    if unfit >= 0 and (place := message.find(_UNFIT_VALUE, unfit)) >= 0:
        message = message[: place + len(_UNFIT_VALUE) - 2]
    return _bounded(_cut(message, _VALUES))


def without_tokens(message: str) -> str:
    """The message of a syntax error of graphql-core, without the text of tokens other than short names."""
    return _bounded(_cut(message, _TOKENS))


def _cut(message: str, marks: Sequence[tuple[str, str]]) -> str:
    """The message up to the first of the marks that is in it, and what is to be left of that one."""
    found = [(place, rest) for mark, rest in marks if (place := message.find(mark)) >= 0]
    if not found:
        return message
    place, rest = min(found)
    return message[:place] + rest


def _without_unlisted(message: str) -> str:
    """Of a value that an enum does not have, the enum's name comes last: a value may hold the same words."""
    before, after = _UNLISTED
    place, rest = message.find(before), message.rfind(after)
    if not 0 <= place < rest or not (place == 0 or message.startswith(": ", place - 2)):
        return message
    return f"{message[:place]}This value does not exist in '{message[rest + len(after) :]}"


def _bounded(message: str) -> str:
    return mask_card_tokens(_LONG_NAME.sub("…", message[:MESSAGE_CHARACTERS_MAX]))
