"""Which browser and system a User-Agent names, told shortly: "Firefox on Linux".

Only what people would recognise. What an agent says is a claim of whoever sent it.
"""

import re
from collections.abc import Sequence

from django.utils.translation import gettext as _

NAME_CHARACTERS_MAX = 40

# The first that is found counts: most browsers claim to be several others, too.
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
# A program names itself first: curl/8.5.0, python-requests/2.32, nf/1.0.
_PROGRAM = re.compile(r"([A-Za-z][\w.+-]*)(?:/|$)")


def device_of(agent: str) -> str:
    """Browser and system, or the program's own name; "" where the agent names neither."""
    browser, system = _first(_BROWSERS, agent), _first(_SYSTEMS, agent)
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    program = _PROGRAM.match(agent)
    named = program[1][:NAME_CHARACTERS_MAX] if program and program[1] != "Mozilla" else ""
    return browser or named or system


def _first(signs: Sequence[tuple[str, str]], agent: str) -> str:
    return next((name for sign, name in signs if sign in agent), "")
