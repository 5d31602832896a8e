"""Localized numbers on pages: "12,000.5" in English, "12 000,5" in Spanish.

`read_number` parses everything that this module formats. Numbers in markup (SVG, CSS, data
attributes) must not be localized: see `plain` in `web.templatetags.neuralflow`.
"""

import math
import re
from collections.abc import Iterable
from typing import Final, TypeGuard

from django.utils.formats import get_format
from django.utils.translation import gettext

from workspace.ordering import accuracy_percent

Number = int | float

# Spaces between groups of digits, as various keyboards and programs produce them.
_SPACES: Final = re.compile(r"(?<=\d)[\u0020\u00a0\u2009\u202f](?=\d{3}(?!\d))")
_EXPONENT: Final = re.compile(r"[eE][+-]?\d{1,4}\Z")
_PLAIN: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)\Z", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?\d+\Z", re.ASCII)


class Ambiguous(ValueError):
    """A number with two readings. The arguments are both, written unambiguously."""


def is_number(value: object) -> TypeGuard[Number]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_text(value: Number) -> str:
    """Format a number to six significant digits: "0.934", "12,000"."""
    return _localized(f"{value:,}" if isinstance(value, int) else f"{value:,.6g}")


def number_list(values: Iterable[Number]) -> str:
    """Format several numbers, separated by semicolons if the decimal separator is a comma."""
    apart = "; " if get_format("DECIMAL_SEPARATOR") == "," else ", "
    return apart.join(map(number_text, values))


def exact_text(value: Number) -> str:
    """Format a number with all digits."""
    return _localized(f"{value:,}")


def percent_text(accuracy: Number) -> str:
    """Format an accuracy in per cent, whether stored as a fraction or in per cent: "91.4%".

    A number of a file for which that exceeds every float is formatted as it is.
    """
    percent = accuracy_percent(accuracy)
    shown = percent if math.isfinite(percent) else accuracy
    return gettext("%(number)s%%") % {"number": number_text(shown)}


def typed_text(value: Number) -> str:
    """Format a number as form input: all digits, without grouping."""
    return _localized(repr(value))


def _localized(text: str) -> str:
    """Replace Python's separators by those of the language."""
    decimal, group = get_format("DECIMAL_SEPARATOR"), get_format("THOUSAND_SEPARATOR")
    return text.translate({ord("."): decimal, ord(","): group})


def read_number(text: str) -> Number:
    """Parse a number in the notation of the current language.

    The separator of another language is accepted if it is unambiguous. Raises `Ambiguous` for
    numbers such as "1.234" in Spanish, and ValueError for anything else.
    """
    text = _SPACES.sub("", text.strip().replace("\N{MINUS SIGN}", "-"))
    exponent = _EXPONENT.search(text)
    digits = text[: exponent.start()] if exponent else text
    plain = _with_point(digits) + (exponent[0] if exponent else "")
    if _INTEGER.match(plain):
        return int(plain)
    if not _PLAIN.match(_EXPONENT.sub("", plain)):
        raise ValueError(f"not a number: {text!r}")
    return float(plain)


def _with_point(digits: str) -> str:
    """Return the digits without grouping and with a decimal point."""
    own = get_format("DECIMAL_SEPARATOR")
    other = "," if own == "." else "."
    if own in digits and other in digits:  # the last one is the decimal separator
        own, other = sorted((own, other), key=digits.rindex, reverse=True)
        return _ungrouped(digits, other).replace(own, ".", 1)
    if digits.count(own) > 1:
        return _ungrouped(digits, own)
    if other not in digits:
        return digits.replace(own, ".")
    if digits.count(other) == 1:
        before, after = digits.split(other)
        if not _is_grouped(digits, other):
            return f"{before}.{after}"
        if get_format("THOUSAND_SEPARATOR") != other:
            raise Ambiguous(before + after, f"{before}{own}{after}")
    return _ungrouped(digits, other)


def _is_grouped(digits: str, separator: str) -> bool:
    """Return True if every separator groups thousands."""
    group = re.escape(separator)
    return re.match(rf"[+-]?[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?![\d{group}])", digits) is not None


def _ungrouped(digits: str, separator: str) -> str:
    if not _is_grouped(digits, separator):
        raise ValueError(f"no groups of thousands: {digits!r}")
    return digits.replace(separator, "")
