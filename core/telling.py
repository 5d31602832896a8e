"""What commands tell a person: counts in words, and faults with what to do about them."""

from django.db import DatabaseError

from docstore import Corrupt, OutOfSpace


def count(number: int, what: str) -> str:
    """A number of things: `1 file`, `2 files`, `1 entry`, `2 entries`."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("try") else f"{number} {what}s"


def advice(fault: Exception) -> str:
    """What went wrong, and what to do about it."""
    if isinstance(fault, DatabaseError):
        todo = "Has `python manage.py migrate` been run?"
    elif isinstance(fault, OutOfSpace):
        todo = "Nothing was lost. Free some space and run this again."
    elif isinstance(fault, Corrupt):
        todo = "Nothing was changed."
    else:
        todo = "See docs/operations.md."
    return f"{printable(str(fault))}. {todo}"


def printable(text: str) -> str:
    """The names of files and people are strangers' words: they must not command a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
