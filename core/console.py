"""Console output of commands: counts, and errors with a remedy."""

from django.db import DatabaseError

from docstore import Corrupt, OutOfSpace


def count(number: int, what: str) -> str:
    """Return a number with its noun: `1 file`, `2 files`, `1 entry`, `2 entries`."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("try") else f"{number} {what}s"


def hint_for(fault: Exception) -> str:
    """Return an error message with its remedy."""
    if isinstance(fault, DatabaseError):
        remedy = "Has `python manage.py migrate` been run?"
    elif isinstance(fault, OutOfSpace):
        remedy = "Nothing was lost. Free some space and run this again."
    elif isinstance(fault, Corrupt):
        remedy = "Nothing was changed."
    else:
        remedy = "See docs/troubleshoot.md."
    return f"{escape_control(str(fault))}. {remedy}"


def escape_control(text: str) -> str:
    """Escape unprintable characters. Untrusted file and user names must not control a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
