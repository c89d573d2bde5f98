"""One line of the log, and its two shapes: for people and for machines.

A record is one line, whatever is in it. Secrets are taken out first, then everything that is
not printable is escaped, then what is too long is cut: nothing that a person typed makes
another line, a field, a colour or a title.

A customer's subject is often an address or an account number, and logs are read, shipped and
kept by more people than the database: so it is a keyed hash. The same customer has the same
name in every line, and `seatsaga log-subject` says which; without the key, nobody can try out
subjects. Operators answer for what they do: they stand in the log by their own names.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal, Protocol

import msgspec

from app.escaping import escaped, shortened
from domain.payments import mask_card_tokens

__all__ = [
    "ConsoleForm",
    "JsonForm",
    "Line",
    "LogForm",
    "LogFormat",
    "Marker",
    "SubjectNames",
    "form_of",
    "json_line",
    "redact",
]

LogFormat = Literal["console", "json"]
#: A longer line is cut, value by value.
LINE_CHARACTERS_MAX: Final = 16_384
VALUE_CHARACTERS_MAX: Final = 1_000
MESSAGE_CHARACTERS_MAX: Final = 4_000
TRACE_CHARACTERS_MAX: Final = 8_000
_ITEMS_MAX: Final = 100
#: What else is never written, should a library say it: tokens that are JWTs, Stripe's keys, a URL's password.
_SECRETS: Final = (
    ("eyJ", re.compile(r"\beyJ[\w-]*(\.[\w-]*)+"), "[redacted]"),
    ("k_", re.compile(r"\b([rs]k)_\w+"), r"\1_[redacted]"),
    ("://", re.compile(r"(://[^\s:/@]*:)[^\s/]*(?=@)"), r"\1[redacted]"),
)
#: What a value of the line for people must not hold bare, as it would pass for the next field.
_SEPARATORS: Final = re.compile(r"[\s\"=]")
#: Fields that machines need and that the message already tells people.
_IN_MESSAGE: Final = frozenset({"event", "step", "compensation", "sequence", "failure", "queue"})
_DIGEST_BYTES: Final = 8
_KEY_BYTES: Final = 32
_REMEMBERED_MAX: Final = 10_000


class Marker(StrEnum):
    """What a line is about."""

    SAGA = "SAGA"
    """A saga as a whole: started, cancelled, ended, stuck."""
    SAGA_STEP = "SAGA STEP"
    """A step's way forward, and its call to the gateway."""
    QUEUE = "QUEUE"
    """What of a saga waits, runs, is done, and would be undone."""
    COMPENSATION = "COMPENSATION"
    """The undoing of a step."""
    LOG = "LOG"
    """Everything else."""


@dataclass(slots=True)
class Line:
    """`at` in microseconds since the epoch; `fields` go behind the message, or beside it in JSON."""

    at: int
    marker: Marker
    level: str
    correlation_id: str | None
    message: str
    fields: dict[str, Any]


class LogForm(Protocol):
    """Writes a record as one line, its line break included."""

    def __call__(self, line: Line) -> str:
        """The line. Raises whatever a value of its raises when it is asked for its text."""
        ...


def form_of(form: LogFormat, origin: Mapping[str, str]) -> LogForm:
    """The shape that is asked for; `origin` stands on every line."""
    return JsonForm(origin) if form == "json" else ConsoleForm(origin)


class ConsoleForm:
    """`2026-07-29T12:00:00.123Z [SAGA STEP] 0198...: RESERVE_SEAT started. attempt=1 replica=0199...`."""

    def __init__(self, origin: Mapping[str, str]) -> None:
        self._behind = "".join(f" {name}={value}" for name, value in origin.items()) + "\n"
        self._stamp = _Stamps()

    def __call__(self, line: Line) -> str:
        """See LogForm."""
        text = _spelled(line, line.message, "".join([_field(name, value) for name, value in line.fields.items()]))
        if len(text) > LINE_CHARACTERS_MAX:
            message = shortened(line.message, MESSAGE_CHARACTERS_MAX)
            fields = [_field(name, _cut(name, str(value))) for name, value in line.fields.items()]
            text = shortened(_spelled(line, message, "".join(fields)), LINE_CHARACTERS_MAX)
        return f"{self._stamp(line.at)} {escaped(redact(text))}{self._behind}"


class JsonForm:
    """One JSON object."""

    def __init__(self, origin: Mapping[str, str]) -> None:
        self._origin = origin
        self._stamp = _Stamps()

    def __call__(self, line: Line) -> str:
        """See LogForm."""
        return json_line(
            {
                "at": self._stamp(line.at),
                "level": line.level,
                "marker": line.marker,
                **({"correlation_id": line.correlation_id} if line.correlation_id else {}),
                "message": line.message,
                **line.fields,
                **self._origin,
            }
        )


def json_line(record: dict[str, Any]) -> str:
    """`record` as one line of JSON that every parser takes, without secrets, and printable as it stands."""
    try:
        text = msgspec.json.encode(record, enc_hook=str).decode()
    except UnicodeEncodeError:
        text = ""
    if not text or len(text) > LINE_CHARACTERS_MAX or _may_hold_secrets(text):
        # Value by value: what replaces a secret must not eat a quotation mark.
        text = msgspec.json.encode(_cleaned(record)).decode()
    if not text.isprintable():
        text = "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)
    return text + "\n"


def redact(text: str) -> str:
    """`text` without card tokens and other secrets that can be told by their looks."""
    for sign, pattern, rest in _SECRETS:
        if sign in text:
            text = pattern.sub(rest, text)
    return mask_card_tokens(text)


# ---------------------------------------------------------------------- for people


def _spelled(line: Line, message: str, behind: str) -> str:
    level = "" if line.level == "info" else f"{line.level.upper()} "
    of = f"{line.correlation_id}: " if line.correlation_id else ""
    return f"[{line.marker}] {level}{of}{message}{behind}"


def _field(name: str, value: Any) -> str:
    if name in _IN_MESSAGE:
        return ""
    text = str(value)
    return f" {name}={json.dumps(text, ensure_ascii=False)}" if _SEPARATORS.search(text) else f" {name}={text}"


# ---------------------------------------------------------------------- for machines


def _may_hold_secrets(text: str) -> bool:
    return any(sign in text for sign, _, _ in _SECRETS) or mask_card_tokens(text) != text


def _cleaned(record: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record, enc_hook=str, str_keys=True)
    return {_text("", name): _plain(name, value) for name, value in plain.items()}


def _plain(name: str, value: Any) -> Any:
    match value:
        case str():
            return _text(name, value)
        case dict():
            return {_text("", str(key)): _plain("", inner) for key, inner in list(value.items())[:_ITEMS_MAX]}
        case list() | tuple():
            return [_plain("", inner) for inner in value[:_ITEMS_MAX]]
        case _:
            return value


def _text(name: str, text: str) -> str:
    # A lone surrogate is no text in UTF-8: it is shown by its escape.
    return _cut(name, redact(text.encode("utf-8", "backslashreplace").decode()))


def _cut(name: str, text: str) -> str:
    if name == "exception":
        # Its end says what it was.
        return text if len(text) <= TRACE_CHARACTERS_MAX else f"...{text[-TRACE_CHARACTERS_MAX:]}"
    return shortened(text, MESSAGE_CHARACTERS_MAX if name == "message" else VALUE_CHARACTERS_MAX)


class _Stamps:
    """Microseconds as RFC 3339 with milliseconds; the second's text is made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self, at: int) -> str:
        second, rest = divmod(at, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{rest // 1_000:03d}Z"


class SubjectNames:
    """Names callers by `secret`; those of `plain` are nobody's, and stand as they are."""

    def __init__(self, secret: str, *, plain: Collection[str] = ()) -> None:
        self._key = blake2b(secret.encode(), digest_size=_KEY_BYTES, person=b"seatsaga log").digest()
        self._plain = frozenset(plain)
        self._hashed = lru_cache(maxsize=_REMEMBERED_MAX)(self._hash)

    def __call__(self, subject: str, *, is_operator: bool = False) -> str:
        """`#` and 16 hexadecimal digits for a customer; the subject itself for an operator."""
        return subject if is_operator or subject in self._plain else self._hashed(subject)

    def _hash(self, subject: str) -> str:
        # Whatever a token calls its bearer, also what is no text in UTF-8.
        told = subject.encode("utf-8", "surrogatepass")
        return f"#{blake2b(told, digest_size=_DIGEST_BYTES, key=self._key).hexdigest()}"
