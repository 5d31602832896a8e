"""Keeps locale/<language>/LC_MESSAGES/django.po and .mo what code, templates and translators say.

    .venv/bin/python scripts/messages.py    brings both up to date, and says what is not translated

Without GNU gettext, which a bare machine lacks: Babel reads Python, Django itself turns a template
into calls of gettext. Names of files stand beside a message, no lines: those would change with
every edit. A message that is gone, goes from the file; none is guessed from one like it.
"""

import ast
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

PROJECT = Path(__file__).resolve().parent.parent
LANGUAGES = ("es",)
ROOMS = ("accounts", "core", "neuralflow", "templates", "utils")

Found = tuple[str | tuple[str, str], str | None]

# What Django and django-allauth say on pages of ours, and we say otherwise: as to a friend.
BORROWED: tuple[Found, ...] = tuple(
    (message, None)
    for message in (
        "Enter a complete value.",
        "Enter a list of values.",
        "Enter a number.",
        "Enter a valid URL.",
        "Enter a valid date.",
        "Enter a valid email address.",
        "Enter a valid username. This value may contain only unaccented lowercase a-z and uppercase"
        " A-Z letters, numbers, and @/./+/-/_ characters.",
        "Enter a valid value.",
        "Enter a whole number.",
        (
            "Ensure this value has at least %(limit_value)d character (it has %(show_value)d).",
            "Ensure this value has at least %(limit_value)d characters (it has %(show_value)d).",
        ),
        (
            "Ensure this value has at most %(limit_value)d character (it has %(show_value)d).",
            "Ensure this value has at most %(limit_value)d characters (it has %(show_value)d).",
        ),
        "Ensure this value is greater than or equal to %(limit_value)s.",
        "Ensure this value is less than or equal to %(limit_value)s.",
        "Forgot your password?",
        "No file was submitted. Check the encoding type on the form.",
        "Please type your current password.",
        "Select a valid choice. %(value)s is not one of the available choices.",
        "Select a valid choice. That choice is not one of the available choices.",
        "Use your password",
        "Your password can\N{RIGHT SINGLE QUOTATION MARK}t be a commonly used password.",
        "Your password can\N{RIGHT SINGLE QUOTATION MARK}t be too similar to your other personal"
        " information.",
    )
)

KEYWORDS = DEFAULT_KEYWORDS | {
    "gettext_lazy": None,
    "gettext_noop": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
}
_TEXT = r"""[ur]?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
# What `templatize` leaves of a template: calls with literals among blots of X.
_CALL = re.compile(
    rf"(?<!\w)(gettext|_|ngettext|pgettext|npgettext)\(\s*{_TEXT}(?:\s*,\s*{_TEXT})?(?:\s*,\s*{_TEXT})?"
)


def in_template(text: str, name: str) -> Iterator[Found]:
    """The messages of a template: each (or its two forms), and the context."""
    for call in _CALL.finditer(templatize(text, origin=name)):
        kind, *literals = call.groups()
        texts = [ast.literal_eval(literal) for literal in literals if literal]
        context = texts.pop(0) if kind in ("pgettext", "npgettext") else None
        yield ((texts[0], texts[1]) if kind in ("ngettext", "npgettext") else texts[0]), context


def in_code(text: bytes) -> Iterator[Found]:
    """The messages of a Python module."""
    for _line, message, _comments, context in extract("python", BytesIO(text), KEYWORDS):
        yield (message if isinstance(message, str) else (message[0], message[1])), context


def extracted() -> Catalog:
    """All messages, each with the files that have it."""
    catalog = Catalog(fuzzy=False)
    for path in sorted(path for room in ROOMS for path in (PROJECT / room).rglob("*")):
        name = path.relative_to(PROJECT).as_posix()
        if path.suffix in (".html", ".txt"):
            found = in_template(path.read_text("utf-8"), name)
        elif path.suffix == ".py":
            found = in_code(path.read_bytes())
        else:
            continue
        catalog_all(catalog, name, found)
    catalog_all(catalog, "Django, django-allauth", iter(BORROWED))
    return catalog


def catalog_all(catalog: Catalog, name: str, found: Iterator[Found]) -> None:
    """Adds the messages of a file."""
    for message, context in found:
        known = catalog.get(message if isinstance(message, str) else message[0], context)
        if known is not None and isinstance(known.id, tuple) and isinstance(message, str):
            message = known.id  # once with two forms, once with one: both find the two
        catalog.add(message, context=context, locations=[(name, None)])


def po_of(language: str) -> Path:
    return PROJECT / "locale" / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    """What the translators wrote; nothing yet for a new language."""
    path = po_of(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str, found: Catalog) -> Catalog:
    """The translations of what is found now, in the order of the messages."""
    before = read(language)
    catalog = Catalog(
        locale=language, fuzzy=False, header_comment="# NeuralFlow in another language"
    )
    for message in sorted(found, key=lambda one: (str(one.id), one.context or "")):
        if not message.id:
            continue
        known = before.get(message.id, message.context)
        string = known.string if known is not None and _fits(known, message) else None
        files = sorted({name for name, _line in message.locations})
        catalog.add(message.id, string, [(name, None) for name in files], context=message.context)
    return catalog


def _fits(known: Message, message: Message) -> bool:
    return known.pluralizable == message.pluralizable


class Timeless(Catalog):
    """A catalogue whose head says nothing of when and by what it was made."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:  # type: ignore[override]
        return [
            ("Language", str(self.locale)),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
            ("Plural-Forms", self.plural_forms),
        ]


def _timeless(catalog: Catalog) -> Timeless:
    copy = Timeless(locale=catalog.locale, fuzzy=False)
    for one in catalog:
        if one.id:
            copy.add(one.id, one.string, one.locations, one.flags, context=one.context)
    return copy


def po_text(catalog: Catalog) -> bytes:
    """The .po file, with nothing in it that changes by itself."""
    copy, file = _timeless(catalog), BytesIO()
    write_po(file, copy, width=100, omit_header=True)
    head = "".join(f'"{name}: {value}\\n"\n' for name, value in copy.mime_headers)
    return f'msgid ""\nmsgstr ""\n{head}\n'.encode() + file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """The .mo file: what Django reads."""
    file = BytesIO()
    write_mo(file, _timeless(catalog))
    return file.getvalue()


def untranslated(catalog: Catalog) -> list[Message]:
    """The messages that lack a text, or one of its forms."""
    return [
        one
        for one in catalog
        if one.id and not (all(one.string) if isinstance(one.string, tuple) else one.string)
    ]


def main() -> int:
    found = extracted()
    missing = 0
    for language in LANGUAGES:
        catalog = updated(language, found)
        path = po_of(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(po_text(catalog))
        path.with_suffix(".mo").write_bytes(mo_bytes(catalog))
        for message in untranslated(catalog):
            print(f"{language}: not translated: {message.id!r}")
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
