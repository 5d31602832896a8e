"""Texts in one normal form, and folded for search and for names that must differ.

One letter can be written as one code point or as a letter and a combining accent. Records hold the
first form (NFC), whichever was sent: otherwise two equal words would differ. Search compares texts
without capitals, accents and compatibility forms. Pure functions, no Django.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Letters whose stroke or ligature no normal form takes apart.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe"}
)
# Canonical combining classes of accents above and below, and of the points of Hebrew and Arabic.
# Those of other scripts change the letter: without them, two Japanese words would be one.
_ACCENTS: Final = {*range(200, 241), *range(10, 36)}


def normal(text: str) -> str:
    """Return the text in normal form C, in which records hold it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return the text as search compares it: without capitals, accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).translate(_FOLDS)


# Without a bound, texts of rare characters would fill the memory with a million entries.
_FOLDS_MAX: Final = 20_000


class _Folds(dict[int, str]):
    """Each character as it is folded, computed at its first use: a text costs one look-up each."""

    def __missing__(self, code: int) -> str:
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        letters = [one for one in apart if unicodedata.combining(one) not in _ACCENTS]
        folded_one = unicodedata.normalize("NFC", "".join(letters).translate(_PLAIN))
        if len(self) < _FOLDS_MAX:
            self[code] = folded_one
        return folded_one


_FOLDS: Final = _Folds()


def folded_name(name: str) -> str:
    """Return the form in which two user names must differ: NFKC, without capitals."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
