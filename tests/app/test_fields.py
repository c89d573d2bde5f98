"""The header fields of a request, gathered once."""

from __future__ import annotations

from app.http.fields import field_of, fields_of


def test_the_first_of_several_fields_counts() -> None:
    scope = {"headers": [(b"origin", b"http://a"), (b"host", b"here"), (b"origin", b"http://b")]}
    assert field_of(scope, b"origin") == "http://a"
    assert field_of(scope, b"cookie") is None
    assert fields_of(scope) == {b"origin": b"http://a", b"host": b"here"}


def test_a_value_is_read_as_latin_1_as_starlette_does() -> None:
    assert field_of({"headers": [(b"accept", b"\xe9")]}, b"accept") == "\xe9"
