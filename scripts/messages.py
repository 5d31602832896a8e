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

Found = tuple[str | tuple[str, str], str | None]


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
        if path.suffix == ".html":
            found = in_template(path.read_text("utf-8"), name)
        elif path.suffix == ".py":
            found = in_code(path.read_bytes())
        else:
            continue
        for message, context in found:
            known = catalog.get(message if isinstance(message, str) else message[0], context)
            if known is not None and isinstance(known.id, tuple) and isinstance(message, str):
                message = known.id  # once with two forms, once with one: both find the two
            catalog.add(message, context=context, locations=[(name, None)])
    return catalog


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


def po_text(catalog: Catalog) -> bytes:
    """The .po file, with nothing in it that changes by itself."""
    file = BytesIO()
    write_po(file, catalog, width=100, omit_header=True)
    head = (
        'msgid ""\nmsgstr ""\n"Language: {0}\\n"\n"MIME-Version: 1.0\\n"\n'
        '"Content-Type: text/plain; charset=utf-8\\n"\n"Content-Transfer-Encoding: 8bit\\n"\n'
        '"Plural-Forms: {1}\\n"\n\n'
    )
    return head.format(catalog.locale, catalog.plural_forms).encode() + file.getvalue()


def mo_bytes(catalog: Catalog) -> bytes:
    """The .mo file: what Django reads."""
    file = BytesIO()
    with_head = read_po(BytesIO(po_text(catalog)), locale=str(catalog.locale))
    with_head.fuzzy = False
    write_mo(file, with_head)
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
