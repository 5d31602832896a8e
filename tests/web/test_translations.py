"""The second language is complete, and what it says is what the pages say."""

import ast
import inspect
import re
from collections.abc import Iterator
from types import ModuleType

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client
from django.utils import translation

from accounts.models import User
from docstore import editor_buffers, file_edits, salvage
from scripts import messages
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web.error_messages import (
    PATTERNS,
    is_known,
    localize_error,
    remark_in_words,
    sentence,
)
from workspace import file_edits as workspace_file_edits
from workspace.schema.fields import _ENTRIES
from workspace.schema.validation import COLLECTIONS
from workspace.strict_json import _REASONS

each_language = pytest.mark.parametrize("language", messages.LANGUAGES)

_PLACEHOLDER = re.compile(r"%\(\w+\)[sdg]|\{\w+\}|</?\w+>")


def texts(message: Message) -> Iterator[tuple[str, str]]:
    """Each text and its translation."""
    ids = message.id if isinstance(message.id, tuple) else (message.id,)
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    # The text of one may leave out the number: "one more".
    yield from zip((*ids, ids[-1])[: len(strings)], map(str, strings), strict=True)


def test_there_is_a_catalogue_for_every_language_but_english() -> None:
    assert {"en", *messages.LANGUAGES} == set(dict(settings.LANGUAGES))


@each_language
def test_it_has_what_code_and_templates_say_and_nothing_else(language: str) -> None:
    found = {(one.id, one.context) for one in messages.extracted() if one.id}
    written = {(one.id, one.context) for one in messages.read(language) if one.id}
    assert len(found) > 500
    advice = "run .venv/bin/python scripts/messages.py, and translate what it names"
    assert found == written, advice
    assert messages.untranslated(messages.read(language)) == [], advice


@each_language
def test_compiled_catalog_matches_source(language: str) -> None:
    path = messages.po_of(language)
    assert path.with_suffix(".mo").read_bytes() == messages.mo_bytes(messages.read(language))
    with path.open("rb") as file:
        assert not any(message.fuzzy for message in read_po(file) if message.id)


@each_language
def test_placeholders_and_markup_agree(language: str) -> None:
    for message in messages.read(language):
        for text, translated in texts(message) if message.id else ():
            expected = sorted(_PLACEHOLDER.findall(text))
            assert sorted(_PLACEHOLDER.findall(translated)) == expected, text
            assert text[:1].isspace() == translated[:1].isspace(), text


# What the services below say in English


def test_every_rule_of_the_table_can_be_told_in_another_language() -> None:
    for spec in COLLECTIONS.values():
        for field in spec.fields:
            assert is_known(field.must_be), field.must_be
    for _fits, wanted in _ENTRIES.values():
        assert is_known(f"must be {wanted}"), wanted
    for reason in _REASONS.values():
        assert is_known(reason), reason


def test_a_fault_is_told_in_the_language_of_the_page() -> None:
    detail = "must be a text of 1 to 200 characters, or null"
    assert sentence(detail) == "Must be a text of 1 to 200 characters, or empty."
    with translation.override("es"):
        assert sentence(detail) == "Debe ser un texto de 1 a 200 caracteres, o quedar vacío."
        assert sentence("is new to us") == "Is new to us."
        assert all(localize_error(pattern) != pattern for pattern in PATTERNS)


@pytest.mark.django_db(transaction=True)
def test_a_page_in_spanish(client: Client, alice: User) -> None:
    client.force_login(alice)
    json_storage.change_preferences(alice.pk, {"language": "es"})
    page = text_of(client.get("/tasks/new/"))
    assert "Tarea nueva" in page and "Prioridad" in page and "Media" in page
    refused = text_of(client.post("/tasks/new/", {"title": "", "due_date": "ayer"}))
    assert "No se guardó" in refused
    assert "Escribe una fecha u hora" in refused


@pytest.mark.parametrize(
    ("remark", "translated"),
    [
        (
            "task 3 was not changed: /title must be one of a, b; /tags must be an object",
            "tarea 3 no se cambió: /title debe ser uno de estos valores: a, b; /tags debe ser un"
            " objeto",
        ),
        (
            '"title" of record 2 cannot be read: it stands twice in its record (line 2, column 48)',
            "«title» del registro 2 no se puede leer: está dos veces en su registro (línea 2,"
            " columna 48)",
        ),
        (
            "it names no revision, so nobody can tell what you changed; nothing was taken",
            "no indica ninguna revisión, así que no se sabe qué cambiaste; no se aplicó nada",
        ),
        (
            "the id 3 is taken; the record was given the next one",
            "el id 3 está ocupado; el registro recibió el siguiente",
        ),
        ("in nobody's words", "in nobody's words"),
    ],
)
def test_remark_on_a_file_is_in_the_language_of_the_page(remark: str, translated: str) -> None:
    assert remark_in_words(remark) == remark
    with translation.override("es"):
        assert remark_in_words(remark) == translated


# Parts of remarks and other texts, and two remarks that the test above has in full.
NO_REMARKS = {
    "line 7, column 7",
    ", 7 kept from earlier saves",
    "there is no 7",
    '"7" of 7 cannot be read: it 7 (7)',
    "the id 7 7; the record was given the next one",
}


@pytest.mark.parametrize("module", [editor_buffers, file_edits, salvage, workspace_file_edits])
def test_every_remark_has_words_in_other_languages(module: ModuleType) -> None:
    """Each f-string of the module that begins like a remark, with its values filled in."""
    source = ast.parse(inspect.getsource(module))
    texts = [
        "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        for node in ast.walk(source)
        if isinstance(node, ast.JoinedStr)
    ]
    remarks = [text for text in texts if len(text.split()) > 3]
    assert len(remarks) >= 2
    with translation.override("es"):
        unknown = [text for text in remarks if remark_in_words(text) == text]
    assert set(unknown) <= NO_REMARKS
