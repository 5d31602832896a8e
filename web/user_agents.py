"""Derive browser and system from a User-Agent: "Firefox on Linux".

Only well-known names are recognized. The header is a claim of the client.
"""

import re
from collections.abc import Sequence

from django.utils.translation import gettext as _

NAME_CHARACTERS_MAX = 40

# The first match counts, because most browsers also claim to be others.
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
# Programs begin with their name: curl/8.5.0, python-requests/2.32, nf/1.0.
_PROGRAM = re.compile(r"([A-Za-z][\w.+-]*)(?:/|$)")


def device_of(agent: str) -> str:
    """Return browser and system, or the program's name, or "" if unknown."""
    browser, system = _first(_BROWSERS, agent), _first(_SYSTEMS, agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    program = _PROGRAM.match(agent)
    named = program[1][:NAME_CHARACTERS_MAX] if program and program[1] != "Mozilla" else ""
    return browser or named or system


def _first(signs: Sequence[tuple[str, str]], agent: str) -> str:
    return next((name for sign, name in signs if sign in agent), "")
