"""The second language is complete, and what it says is what the pages say."""

import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client
from django.utils import translation

from accounts.models import User
from scripts import messages
from tests.web.pages import text_of
from utils.json_storage import json_storage
from web.error_messages import PATTERNS, in_persons_words, is_known, sentence
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
        assert all(in_persons_words(pattern) != pattern for pattern in PATTERNS)


@pytest.mark.django_db(transaction=True)
def test_a_page_in_spanish(client: Client, alice: User) -> None:
    client.force_login(alice)
    json_storage.change_preferences(alice.pk, {"language": "es"})
    page = text_of(client.get("/tasks/new/"))
    assert "Tarea nueva" in page and "Prioridad" in page and "Media" in page
    refused = text_of(client.post("/tasks/new/", {"title": "", "due_date": "ayer"}))
    assert "No se guardó" in refused
    assert "Escribe una fecha u hora" in refused
