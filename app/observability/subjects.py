"""What a caller is called in the log.

A customer's subject is often an address or an account number, and logs are read, shipped and
kept by more people than the database: so it is a keyed hash. The same customer has the same
name in every line, and `seatsaga log-subject` says which; without the key, nobody can try out
subjects. Operators answer for what they do: they stand in the log by their own names.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b
from typing import Final

__all__ = ["SubjectNames"]

_DIGEST_BYTES: Final = 8
_KEY_BYTES: Final = 32
_REMEMBERED_MAX: Final = 10_000


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
