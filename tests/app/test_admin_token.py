"""An installation's operator token is made once, and nobody but its owner reads it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from app.private_files import TOKEN_FILE, keep_token, kept_token
from domain.errors import ConfigurationError


def test_a_token_is_made_where_there_is_none_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    token = keep_token(folder)
    assert len(token) >= 43  # 32 random bytes
    assert stat.S_IMODE((folder / TOKEN_FILE).stat().st_mode) == 0o600
    assert (folder / TOKEN_FILE).read_text("ascii") == f"{token}\n"


def test_the_token_is_the_same_at_every_start(tmp_path: Path) -> None:
    token = keep_token(tmp_path)
    assert keep_token(tmp_path) == keep_token(tmp_path) == kept_token(tmp_path) == token


def test_two_installations_have_two_tokens(tmp_path: Path) -> None:
    assert keep_token(tmp_path / "one") != keep_token(tmp_path / "two")


def test_looking_for_a_token_makes_none(tmp_path: Path) -> None:
    assert kept_token(tmp_path) is None
    assert kept_token(tmp_path / "not there") is None
    assert list(tmp_path.iterdir()) == []


def test_a_token_of_the_owners_own_making_is_kept(tmp_path: Path) -> None:
    path = tmp_path / TOKEN_FILE
    path.write_text("  chosen by hand \n")
    path.chmod(0o400)
    assert keep_token(tmp_path) == kept_token(tmp_path) == "chosen by hand"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o666])
def test_a_token_that_others_may_reach_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    token = keep_token(tmp_path)
    path = tmp_path / TOKEN_FILE
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        keep_token(tmp_path)
    assert str(caught.value) == f"others may read {path}; run: chmod 600 {path}"
    path.chmod(0o600)
    assert keep_token(tmp_path) == token


def test_an_empty_file_is_no_token(tmp_path: Path) -> None:
    path = tmp_path / TOKEN_FILE
    path.touch(mode=0o600)
    assert kept_token(tmp_path) is None
    with pytest.raises(ConfigurationError) as caught:
        keep_token(tmp_path)
    assert str(caught.value) == f"{path} is empty; remove it."


def test_what_cannot_be_read_as_a_token_is_named_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / TOKEN_FILE
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError) as caught:
        keep_token(tmp_path)
    assert str(caught.value).startswith(f"{path} cannot be read as a token")
    assert path.read_bytes() == b"\xff\xfe"


def test_a_folder_in_the_tokens_place_is_named(tmp_path: Path) -> None:
    (tmp_path / TOKEN_FILE).mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read as a token"):
        kept_token(tmp_path)
