"""The process environment as the settings read it.

Every name that is read is recorded, so that a name that nothing reads, such as a misspelled one,
can be reported.
"""

import difflib
import os
from collections.abc import Callable
from typing import Any, Final

import environ
from django.core.exceptions import ImproperlyConfigured

PREFIX: Final = "NEURALFLOW_"
_TRUE: Final = frozenset(environ.Env.BOOLEAN_TRUE_STRINGS)
_FALSE: Final = frozenset({"false", "off", "no", "n", "0", ""})


class Environment(environ.Env):
    """django-environ's reader, stricter where a slip would pass for a value."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Return the value of a variable, and record its name."""
        self.names.add(var)
        return super().get_value(var, *args, **kwargs)

    def bool(self, var: str, default: Any = environ.Env.NOTSET) -> bool:
        """Return a switch. Raises `ImproperlyConfigured` if the text is neither on nor off."""
        text = str(self.get_value(var, cast=str, default=default)).strip().lower()
        if text not in _TRUE | _FALSE:
            raise ImproperlyConfigured(f"{var} must be true or false, not {text!r}.")
        return text in _TRUE

    def list(
        self, var: str, cast: Callable[[str], Any] | None = None, default: Any = environ.Env.NOTSET
    ) -> "list[Any]":
        """Return the parts between commas without spaces around them, empty ones left out."""
        values: list[Any] = super().list(var, default=default)
        texts = [value.strip() if isinstance(value, str) else value for value in values]
        return [cast(text) if cast else text for text in texts if text != ""]

    def unknown(self) -> dict[str, str]:
        """Return unread variables with our prefix, each with the nearest known name or "".

        Call it at the end of the settings.
        """
        ours = sorted(name for name in self.names if name.startswith(PREFIX))
        return {
            name: next(iter(difflib.get_close_matches(name, ours, 1, 0.8)), "")
            for name in sorted(os.environ)
            if name.startswith(PREFIX) and name not in self.names
        }
