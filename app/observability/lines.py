"""One line of the log, in two formats: for people and for machines.

A record is always one line. First secrets are removed, then unprintable characters are escaped,
then long values are cut. So user input cannot forge another line, a field, a colour or a title.

A customer's subject is often an address or an account number, and more people read, ship and
keep logs than the database. So the log shows a keyed hash of the subject. The same customer has the
same hash in every line, and `seatsaga log-subject` prints it; without the key, nobody can test
guessed subjects. Operators are accountable, so the log shows their own subjects.
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
from domain.payments import mask_payment_secrets

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
#: The values of a longer line are cut.
LINE_CHARACTERS_MAX: Final = 16_384
VALUE_CHARACTERS_MAX: Final = 1_000
MESSAGE_CHARACTERS_MAX: Final = 4_000
TRACE_CHARACTERS_MAX: Final = 8_000
_ITEMS_MAX: Final = 100
#: Other secrets that a library may log and that are removed: JWTs, Stripe's keys, a URL's password.
_SECRETS: Final = (
    ("eyJ", re.compile(r"\beyJ[\w-]*(\.[\w-]*)+"), "[redacted]"),
    ("k_", re.compile(r"\b([rs]k)_\w+"), r"\1_[redacted]"),
    ("://", re.compile(r"(://[^\s:/@]*:)[^\s/]*(?=@)"), r"\1[redacted]"),
)
#: A text without any of these keys holds no secret that `redact` removes. Each with two neighbouring characters of it,
#: such that no character is the first of one pair and the second of another.
_SIGNS: Final = {"eyJ": "yJ", "://": ":/", "k_": "k_", "pm_": "m_", "src_": "c_", "card_": "d_", "_secret_": "cr"}
_UNPRINTABLE: Final = bytes((*range(32), 127))
#: Makes the pairs of _SIGNS \0\1, and unprintable characters \2.
_SIEVE: Final = bytes.maketrans(
    "".join(_SIGNS.values()).encode() + _UNPRINTABLE,
    b"\0\1" * len(_SIGNS) + b"\2" * len(_UNPRINTABLE),
)
#: In the format for people, a value with one of these is quoted: otherwise it could look like another field.
_SEPARATORS: Final = re.compile(r"[\s\"=]")
#: Fields that machines need and that the message already tells people.
_IN_MESSAGE: Final = frozenset({"event", "step", "compensation", "sequence", "failure", "queue"})
_DIGEST_BYTES: Final = 8
_KEY_BYTES: Final = 32
_REMEMBERED_MAX: Final = 10_000


class Marker(StrEnum):
    """The subject of a line."""

    SAGA = "SAGA"
    """A saga as a whole: started, cancelled, ended, stuck."""
    SAGA_STEP = "SAGA STEP"
    """A step's way forward, and its call to the gateway."""
    QUEUE = "QUEUE"
    """The steps of a saga that wait, run, are done, and would be compensated."""
    COMPENSATION = "COMPENSATION"
    """The compensation of a step."""
    LOG = "LOG"
    """Everything else."""


#: To write a plain text into a line takes a fourth of the time that a StrEnum takes.
_MARKED: Final = {marker: str(marker) for marker in Marker}


@dataclass(slots=True)
class Line:
    """`at` is in microseconds since the epoch; `fields` follow the message, or stand beside it in JSON."""

    at: int
    marker: Marker
    level: str
    correlation_id: str | None
    message: str
    fields: dict[str, Any]


class LogForm(Protocol):
    """Formats a record as one line with its line break."""

    def __call__(self, line: Line) -> str:
        """The line. Raises any exception that a value raises from its `str` or `repr`."""
        ...


def form_of(form: LogFormat, origin: Mapping[str, str]) -> LogForm:
    """The formatter for `form`; it adds `origin` to every line."""
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
        if not _is_plain(text):
            text = escaped(redact(text))
        return f"{self._stamp(line.at)} {text}{self._behind}"


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
    if 0 < len(text) <= LINE_CHARACTERS_MAX and _is_plain(text):
        return text + "\n"
    if not text or len(text) > LINE_CHARACTERS_MAX or any(sign in text for sign in _SIGNS):
        # Redact each value by itself, so that a replacement cannot swallow a quotation mark.
        text = msgspec.json.encode(_cleaned(record)).decode()
    if not text.isprintable():
        text = "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)
    return text + "\n"


def redact(text: str) -> str:
    """`text` without card tokens and other secrets that a pattern recognizes."""
    for sign, pattern, rest in _SECRETS:
        if sign in text:
            text = pattern.sub(rest, text)
    return mask_payment_secrets(text)


def _is_plain(text: str) -> bool:
    """Whether `text` needs neither `escaped` nor `redact`, by one pass over it: so it is with almost all lines."""
    if not text.isascii():
        return False
    sifted = text.encode().translate(_SIEVE)
    return b"\0\1" not in sifted and b"\2" not in sifted


# ---------------------------------------------------------------------- for people


def _spelled(line: Line, message: str, behind: str) -> str:
    level = "" if line.level == "info" else f"{line.level.upper()} "
    of = f"{line.correlation_id}: " if line.correlation_id else ""
    return f"[{_MARKED[line.marker]}] {level}{of}{message}{behind}"


def _field(name: str, value: Any) -> str:
    if name in _IN_MESSAGE:
        return ""
    text = str(value)
    return f" {name}={json.dumps(text, ensure_ascii=False)}" if _SEPARATORS.search(text) else f" {name}={text}"


# ---------------------------------------------------------------------- for machines


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
    # A lone surrogate cannot be encoded in UTF-8, so its escape is shown.
    return _cut(name, redact(text.encode("utf-8", "backslashreplace").decode()))


def _cut(name: str, text: str) -> str:
    if name == "exception":
        # The end of a traceback names the exception.
        return text if len(text) <= TRACE_CHARACTERS_MAX else f"...{text[-TRACE_CHARACTERS_MAX:]}"
    return shortened(text, MESSAGE_CHARACTERS_MAX if name == "message" else VALUE_CHARACTERS_MAX)


class _Stamps:
    """Formats microseconds as RFC 3339 with milliseconds; the texts of the last second and moment are cached."""

    def __init__(self) -> None:
        self._second = self._at = -1
        self._text = self._stamp = ""

    def __call__(self, at: int) -> str:
        if at == self._at:
            return self._stamp
        second, rest = divmod(at, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        self._at, self._stamp = at, f"{self._text}.{rest // 1_000:03d}Z"
        return self._stamp


class SubjectNames:
    """Names callers by a hash keyed with `secret`. The subjects in `plain` belong to no person and stay unhashed."""

    def __init__(self, secret: str, *, plain: Collection[str] = ()) -> None:
        self._key = blake2b(secret.encode(), digest_size=_KEY_BYTES, person=b"seatsaga log").digest()
        self._plain = frozenset(plain)
        self._hashed = lru_cache(maxsize=_REMEMBERED_MAX)(self._hash)

    def __call__(self, subject: str, *, is_operator: bool = False) -> str:
        """`#` and 16 hexadecimal digits for a customer; the subject itself for an operator."""
        return subject if is_operator or subject in self._plain else self._hashed(subject)

    def _hash(self, subject: str) -> str:
        # A token's subject may not be valid UTF-8.
        told = subject.encode("utf-8", "surrogatepass")
        return f"#{blake2b(told, digest_size=_DIGEST_BYTES, key=self._key).hexdigest()}"
