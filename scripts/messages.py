"""Update web/locale/<language>/LC_MESSAGES/django.po and .mo from code and templates.

    .venv/bin/python scripts/messages.py    updates both, and lists untranslated messages

It does not need GNU gettext: Babel parses Python, and Django converts templates to gettext calls.
Messages have file names but no line numbers, which would change with every edit. Obsolete messages
are removed. There is no fuzzy matching.
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
PACKAGES = ("accounts", "api", "core", "neuralflow", "utils", "web", "workspace")

Found = tuple[str | tuple[str, str], str | None]

# Messages of Django and django-allauth on our pages, translated again in our informal tone.
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
# `templatize` leaves gettext calls with literals. All other text becomes X.
_CALL = re.compile(
    rf"(?<!\w)(gettext|_|ngettext|pgettext|npgettext)\(\s*{_TEXT}(?:\s*,\s*{_TEXT})?(?:\s*,\s*{_TEXT})?"
)


def in_template(text: str, name: str) -> Iterator[Found]:
    """Yield the messages of a template, each (or its two forms) with its context."""
    for call in _CALL.finditer(templatize(text, origin=name)):
        kind, *literals = call.groups()
        texts = [ast.literal_eval(literal) for literal in literals if literal]
        context = texts.pop(0) if kind in ("pgettext", "npgettext") else None
        yield ((texts[0], texts[1]) if kind in ("ngettext", "npgettext") else texts[0]), context


def in_code(text: bytes) -> Iterator[Found]:
    """Yield the messages of a Python module."""
    for _line, message, _comments, context in extract("python", BytesIO(text), KEYWORDS):
        yield (message if isinstance(message, str) else (message[0], message[1])), context


def extracted() -> Catalog:
    """Return all messages with the files that contain them."""
    catalog = Catalog(fuzzy=False)
    for path in sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*")):
        name = path.relative_to(PROJECT).as_posix()
        if path.suffix in (".html", ".txt"):
            messages = in_template(path.read_text("utf-8"), name)
        elif path.suffix == ".py":
            messages = in_code(path.read_bytes())
        else:
            continue
        catalog_all(catalog, name, messages)
    catalog_all(catalog, "Django, django-allauth", iter(BORROWED))
    return catalog


def catalog_all(catalog: Catalog, name: str, found: Iterator[Found]) -> None:
    """Add the messages of a file to the catalog."""
    for message, context in found:
        known = catalog.get(message if isinstance(message, str) else message[0], context)
        if known is not None and isinstance(known.id, tuple) and isinstance(message, str):
            message = known.id  # used with and without a plural: retain the plural form
        catalog.add(message, context=context, locations=[(name, None)])


def po_of(language: str) -> Path:
    return PROJECT / "web" / "locale" / language / "LC_MESSAGES" / "django.po"


def read(language: str) -> Catalog:
    """Return the existing translations, or an empty catalog for a new language."""
    path = po_of(language)
    if not path.exists():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def updated(language: str, found: Catalog) -> Catalog:
    """Return the existing translations of the current messages, sorted by message."""
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
    """A catalog whose header has no dates and no tool names, which would change every time."""

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
    for message in catalog:
        if message.id:
            copy.add(
                message.id,
                message.string,
                message.locations,
                message.flags,
                context=message.context,
            )
    return copy


def po_text(catalog: Catalog) -> bytes:
    """Return the .po file, deterministic for equal messages."""
    copy, file = _timeless(catalog), BytesIO()
    write_po(file, copy, width=100, omit_header=True)
    head = "".join(f'"{name}: {value}\\n"\n' for name, value in copy.mime_headers)
    return f'msgid ""\nmsgstr ""\n{head}\n'.encode() + file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """Return the .mo file, which Django reads."""
    file = BytesIO()
    write_mo(file, _timeless(catalog))
    return file.getvalue()


def untranslated(catalog: Catalog) -> list[Message]:
    """Return the messages that lack a translation, or one of its plural forms."""
    return [
        message
        for message in catalog
        if message.id
        and not (all(message.string) if isinstance(message.string, tuple) else message.string)
    ]


def main() -> int:
    messages = extracted()
    missing = 0
    for language in LANGUAGES:
        catalog = updated(language, messages)
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
