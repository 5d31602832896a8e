"""Normalize texts for storage, fold them for search, and fold names that must be unique.

A letter may be one code point, or a letter and a combining accent. Records store the former (NFC).
Otherwise equal words would differ. Search ignores case, accents and compatibility forms. Pure
functions, no Django.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Letters whose stroke or ligature Unicode normalization does not decompose.
_PLAIN: Final = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe"}
)
# Canonical combining classes of accents above and below, and of Hebrew and Arabic points. Marks of
# other classes change the letter: without them, different Japanese words would be equal.
_ACCENTS: Final = {*range(200, 241), *range(10, 36)}


def normal(text: str) -> str:
    """Return the text in Unicode NFC, as records store it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def folded(text: str) -> str:
    """Return the text folded for search: without case, accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).translate(_FOLDS)


# Without a bound, texts of rare characters would fill the memory with a million entries.
_FOLDS_MAX: Final = 20_000


class _Folds(dict[int, str]):
    """A lazy table from code point to folded text, for `str.translate`."""

    def __missing__(self, code: int) -> str:
        apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", chr(code)).casefold())
        letters = [char for char in apart if unicodedata.combining(char) not in _ACCENTS]
        result = unicodedata.normalize("NFC", "".join(letters).translate(_PLAIN))
        if len(self) < _FOLDS_MAX:
            self[code] = result
        return result


_FOLDS: Final = _Folds()


def folded_name(name: str) -> str:
    """Return the form in which user names must be unique: NFKC, case-folded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


# Names of those who run a place, in the languages of the pages: nobody signs up as one of them.
RESERVED: Final = frozenset(
    {
        *("abuse", "admin", "administration", "administrator", "api", "billing", "helpdesk"),
        *("hostmaster", "mailerdaemon", "moderator", "neuralflow", "noreply", "official"),
        *("operator", "postmaster", "root", "security", "staff", "superuser", "support"),
        *("sysadmin", "system", "webmaster", "www"),
        *("administrador", "ayuda", "moderador", "oficial", "operador", "seguridad"),
        *("sistema", "soporte"),
    }
)
# Cyrillic and Greek letters that look like Latin ones.
_LOOKALIKES: Final = str.maketrans(
    "\u0430\u0435\u0456\u0458\u043e\u0440\u0441\u0443\u0445\u0455\u0501"
    "\u04bb\u04cf\u043e\u03c4\u03b1\u03b9\u03ba\u03bd\u03c1\u03c5",
    "aeijopcyxsdhlotaikvpu",
)
_DECORATION: Final = str.maketrans("", "", "0123456789._+-")


def is_reserved(name: str) -> bool:
    """Return whether a name passes for those who run this place, as `Support_1` does."""
    plain = folded_name(name).translate(_LOOKALIKES).translate(_DECORATION)
    return plain in RESERVED
