"""Family names as a search compares them: letters and digits only, without accents and case."""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["folded", "spellings"]

#: Letters that Unicode does not take apart, as people without them on their keyboard write them.
_PLAIN: Final = str.maketrans(
    {
        "æ": "ae",
        "ð": "d",
        "ø": "o",
        "þ": "th",
        "đ": "d",
        "ħ": "h",
        "ı": "i",
        "ĸ": "k",
        "ł": "l",
        "ŋ": "n",
        "œ": "oe",
        "ŧ": "t",
        "ə": "e",
        "ƒ": "f",
        "ɓ": "b",
        "ɗ": "d",
    }
)
#: Travel documents write these letters so (ICAO 9303), and many people do.
_TRANSCRIBED: Final = {"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"}
#: A row of an index must have room for the longest name: Unicode takes some characters apart into 18.
_CHARACTERS_MAX: Final = 100


def folded(name: str) -> str:
    """The name in the form that is stored and compared: García and Garcia are alike, as are O'Neill and oneill.

    Empty if the name has no letter and no digit.
    """
    bare = "".join(
        character
        for character in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
        # Vowel signs, which are marks too, are in no combining class, and they tell names apart.
        if unicodedata.combining(character) == 0 and unicodedata.category(character)[0] in "LNM"
    )
    return bare.translate(_PLAIN)[:_CHARACTERS_MAX]


def spellings(name: str) -> tuple[str, ...]:
    """The folded forms under which a person of this name may be stored, the name's own first.

    Müller may be stored as Mueller, and Mueller as Müller.
    """
    transcribed, plain = unicodedata.normalize("NFC", name).casefold(), folded(name)
    for letter, transcription in _TRANSCRIBED.items():
        transcribed = transcribed.replace(letter, transcription)
        plain = plain.replace(transcription, transcription[0])
    return tuple(dict.fromkeys(form for form in (folded(name), folded(transcribed), plain) if form))
